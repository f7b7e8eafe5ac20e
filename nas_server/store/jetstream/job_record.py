"""What the distributed store keeps for a job, and the alarms that wake it, as JSON."""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import attrs

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import StoredOneShot

Job = tuple[str, str]
"""An agent, and the id of a job there."""
KEYS: Final = 60
"""With so many delivered keys a job is not armed again: all are in each of its writes.

The contract lets none be forgotten sooner. An agent fires a job every minute, or half a minute.
"""

_SLACK_S: Final = 60


def token(text: str) -> str:
    """Return ``text`` as one token of a subject."""
    return quote(text, safe="").replace(".", "%2E")


def text_of(token: str) -> str:
    """Return what `token` was made from."""
    return unquote(token)


@attrs.frozen
class JobRecord:
    """All that a job has, kept as one record, so that every change of it is one write."""

    job: Job
    one: StoredOneShot | None = None
    alarm: str | None = None
    """The id of the alarm that wakes ``one``; None when nothing is to wake."""
    delivered: Mapping[str, tuple[int, str]] = attrs.field(factory=dict)
    """Dedup keys delivered of late: until when they are remembered, and the schedule id."""
    revision: int = 0
    """Which write this is; 0 when the job has no record."""

    @property
    def live(self) -> StoredOneShot | None:
        """The one-shot, unless it was given up."""
        return None if self.one is None or self.one.dead else self.one

    def has(self, schedule_id: str) -> bool:
        """Tell whether the job has that one-shot."""
        return self.one is not None and self.one.schedule_id == schedule_id

    @property
    def ttl_s(self) -> int | None:
        """How long the record is worth keeping; None: until it changes.

        An empty one stays for as long as delivered keys are remembered, and so that nobody
        who saw the job without a record can still write one unnoticed.
        """
        if self.live is not None:
            return None
        kept_ms = one_shot.REMEMBER_MS if self.one is None else one_shot.KEEP_DEAD_MS
        return kept_ms // 1_000 + _SLACK_S

    def remembered(self, dedup_key: str, now: int) -> str | None:
        """Return the schedule id under which a key was delivered, while that is remembered."""
        return one_shot.remembered(self.delivered.get(dedup_key), now)

    def remember(self, tried: StoredOneShot, now: int) -> "JobRecord":
        """Return the record with the key of ``tried`` delivered, without keys that are over."""
        kept = {key: each for key, each in self.delivered.items() if each[0] > now}
        kept.pop(tried.dedup_key, None)
        kept[tried.dedup_key] = (now + one_shot.REMEMBER_MS, tried.schedule_id)
        return attrs.evolve(self, delivered=kept)

    def wait_ms(self, now: int) -> int:
        """Return for how long the job is armed under no other key, because of too many."""
        kept = [each for each in self.delivered.values() if one_shot.remembered(each, now)]
        return sorted(until for until, _ in kept)[-KEYS] - now if len(kept) >= KEYS else 0

    def encode(self) -> bytes:
        """Return what is stored."""
        one = None if self.one is None else attrs.asdict(self.one, filter=_is_told)
        return _json({"one": one, "alarm": self.alarm, "delivered": self.delivered})

    @classmethod
    def decode(cls, job: Job, revision: int, data: bytes) -> "JobRecord":
        """Read back what `encode` gave; revision 0 is that of a job without a record."""
        if not revision:
            return cls(job)
        kept = json.loads(data)
        one = None if kept["one"] is None else StoredOneShot(**kept["one"])
        delivered = {key: (until, name) for key, (until, name) in kept["delivered"].items()}
        return cls(job, one, kept["alarm"], delivered, revision)


@attrs.frozen
class Alarm:
    """A note to come and look at a job. It decides nothing: the job's record does."""

    id: str
    agent: str
    job_id: str
    wake_ms: int
    base: int
    """The revision of the record that whoever set the alarm was about to replace."""
    deferred: int = 0
    """How often it was delivered where it was of no use."""

    @classmethod
    def of(cls, one: StoredOneShot, base: int) -> "Alarm":
        """Return an alarm for when ``one`` needs attention."""
        return cls(secrets.token_hex(10), one.agent, one.job_id, one.wake_ms, base)

    @property
    def job(self) -> Job:
        """Whom it is about."""
        return self.agent, self.job_id

    @property
    def name(self) -> str:
        """Its subject token, which no other alarm ever has."""
        return f"{self.id}-{self.deferred}"

    def encode(self) -> bytes:
        """Return what is stored."""
        return _json(attrs.asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> "Alarm":
        """Read back what `encode` gave."""
        return cls(**json.loads(data))


def _is_told(field: "attrs.Attribute[Any]", value: object) -> bool:
    """Whether a field is written: an older server in the cluster does not know `more`."""
    return field.name != "more" or bool(value)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
