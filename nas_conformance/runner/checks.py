"""What a check is, and the groups they come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from .context import Context
from .contract import Clause

Run = Callable[[Context], None]


@attrs.frozen
class Check:
    """One promise of the contract, and the code that holds a NAS to it.

    `run` raises `wire.CheckFailed` when the promise is not kept. `needs` names what must be
    given for it, as in `options.Options`. `advice` says what an implementer does about a failure.
    """

    name: str
    promise: str
    clause: Clause
    advice: str
    needs: frozenset[str]
    run: Run


class Group:
    """The checks of one subject; their names begin with the group's."""

    def __init__(self, name: str, *, needs: str = "") -> None:
        """`needs`, separated by spaces, holds for every check of the group."""
        self.name = name
        self._needs = frozenset(needs.split())
        self._checks: list[Check] = []

    def check(
        self, name: str, clause: Clause, advice: str, *, needs: str = ""
    ) -> Callable[[Run], Run]:
        """Make a function a check of this group; its docstring is the promise."""

        def keep(run: Run) -> Run:
            promise = " ".join((run.__doc__ or "").split())
            wanted = self._needs | frozenset(needs.split())
            self._checks.append(Check(f"{self.name}.{name}", promise, clause, advice, wanted, run))
            return run

        return keep

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)
