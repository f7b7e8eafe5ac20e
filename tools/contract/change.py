"""One change between two contracts, and what it does to those who keep to the old one.

NAS is changed first and agents live on, so what counts is an old agent with a new NAS.
Data flows two ways between them. What agents send (requests, and their answers to a fire)
must not be admitted more narrowly than before; what NAS sends (its answers, and the fire)
must not become wider than what agents were promised.
"""

from dataclasses import dataclass
from enum import Enum


class Weight(Enum):
    """What a change asks of `info.version`."""

    BREAKING = "breaking"
    SAFE = "safe"
    WORDS = "words"


class Flow(Enum):
    """Who sends a piece of data to whom."""

    TO_NAS = "to NAS"
    TO_AGENT = "to the agent"

    @property
    def back(self) -> "Flow":
        """The flow of the answer."""
        return Flow.TO_AGENT if self is Flow.TO_NAS else Flow.TO_NAS

    @property
    def narrower(self) -> Weight:
        """What it weighs that less is admitted than before."""
        return Weight.BREAKING if self is Flow.TO_NAS else Weight.SAFE

    @property
    def wider(self) -> Weight:
        """What it weighs that more is admitted than before."""
        return Weight.BREAKING if self is Flow.TO_AGENT else Weight.SAFE


@dataclass(frozen=True)
class Change:
    """A change in words: where (operation, part, field), what, and what it weighs."""

    where: str
    what: str
    weight: Weight
