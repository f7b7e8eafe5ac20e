"""What a run has in its hands: the NAS, the agents' tokens, names and times nobody else uses."""

from __future__ import annotations

import json
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from nas_sdk._core.instants import format_instant, parse_instant
from nas_sdk._core.strict_json import UnreadableError, read_object

from .contract import Contract, shipped
from .options import Options
from .wire import (
    CANCEL,
    KEYS,
    LIST,
    NOBODY,
    PROVISION,
    CheckFailed,
    Credential,
    Exchange,
    Wire,
    bearer,
)

if TYPE_CHECKING:
    from .scenario import FireScenario

S = TypeVar("S")
T = TypeVar("T")
_BELOW_MS = re.compile(r"\.[0-9]{4}")
DAY_MS: Final = 86_400_000
NOWHERE: Final = "https://nas-conformance.invalid"
"""A callback URL that can never be reached (RFC 2606)."""


class Agent:
    """One agent's calls. Every answer is held against the contract; CheckFailed otherwise."""

    def __init__(self, context: Context, credential: Credential) -> None:
        self._context = context
        self.credential = credential

    def provision(
        self, job_id: str, fire_at: str, callback_url: str = NOWHERE
    ) -> tuple[str, Exchange]:
        """Arm a job; the schedule id, and the exchange for reports."""
        body = self._context.request(job_id, fire_at, callback_url)
        exchange = _means(self.post(PROVISION, body), "shape.provision")
        return str(self._context.expect(exchange, 200, "ProvisionResult")["schedule_id"]), exchange

    def cancel(self, job_id: str) -> Exchange:
        """Cancel a job's one-shot."""
        exchange = _means(self.post(CANCEL, {"job_id": job_id}), "shape.cancel")
        self._context.expect(exchange, 200, "CancelResult")
        return exchange

    def list(self) -> tuple[list[dict[str, Any]], Exchange]:
        """Every entry of the list, whoever armed it."""
        exchange = _means(self._context.wire.send("GET", LIST, self.credential), "shape.list")
        return list(self._context.expect(exchange, 200, "ArmedList")["armed"]), exchange

    def armed(self) -> tuple[dict[str, dict[str, Any]], Exchange]:
        """The entries of this run, by job id; CheckFailed when a job has two."""
        entries, exchange = self.list()
        ours: dict[str, dict[str, Any]] = {}
        for entry in entries:
            if entry["job_id"] in ours:
                raise CheckFailed(f"job {entry['job_id']} is listed more than once", exchange)
            if entry["job_id"].startswith(self._context.prefix):
                ours[entry["job_id"]] = entry
        return ours, exchange

    def entry(self, job_id: str) -> tuple[dict[str, Any], Exchange]:
        """The job's entry in the list; CheckFailed when it has none."""
        ours, exchange = self.armed()
        if job_id not in ours:
            raise CheckFailed(f"job {job_id} is armed and not in the list", exchange)
        return ours[job_id], exchange

    def post(self, path: str, body: object) -> Exchange:
        """Send anything as JSON."""
        return self._context.wire.send("POST", path, self.credential, encode(body))


class Context:
    """Everything the checks of one run share."""

    def __init__(self, options: Options, wire: Wire, contract: Contract | None = None) -> None:
        self.options = options
        self.wire = wire
        self.contract = contract or shipped()
        self.prefix = f"conf-{secrets.token_hex(4)}-"
        self.random = random.Random(options.seed)  # noqa: S311 - it is to be repeatable
        self.agent = Agent(self, bearer(options.token, "the agent's token"))
        second = options.second
        self.other = Agent(self, bearer(second, "the second agent's token") if second else NOBODY)
        self._jobs = 0
        self._until = time.monotonic() + options.deadline
        self._scenario: FireScenario | None = None

    def listen(self) -> None:
        """Listen for fires; OSError or OverflowError where that cannot be."""
        from .scenario import FireScenario

        self._scenario = FireScenario(self)

    @property
    def scenario(self) -> FireScenario:
        """The fires, armed and received once for all checks of them, after `listen`."""
        assert self._scenario is not None
        if not self._scenario.parts:
            self._scenario.play()
        return self._scenario

    @property
    def seconds_left(self) -> float:
        """What is left of the deadline."""
        return self._until - time.monotonic()

    def job(self, label: str) -> str:
        """A job id that no one has used, with a word to know it by."""
        self._jobs += 1
        return f"{self.prefix}{self._jobs}-{label}"

    def later(self, days: float = 1.0) -> str:
        """An instant some days ahead, to the millisecond, not the same twice."""
        return format_instant(self.later_ms(days))

    def later_ms(self, days: float = 1.0) -> int:
        """As `later`, in milliseconds since the epoch."""
        return int(time.time() * 1000 + days * DAY_MS) + self.random.randrange(DAY_MS)

    def request(self, job_id: str, fire_at: str, callback_url: str = NOWHERE) -> dict[str, object]:
        """A provision's body as the contract has it."""
        return {
            "job_id": job_id,
            "fire_at": fire_at,
            "agent_callback_url": callback_url,
            "dedup_key": f"{job_id}:{fire_at}",
        }

    def expect(self, exchange: Exchange, status: int, schema: str) -> dict[str, Any]:
        """The body of an answer that has this status and shape; CheckFailed otherwise."""
        if exchange.status != status:
            raise CheckFailed(f"the status is {exchange.status}, not {status}", exchange)
        if exchange.media_type != "application/json":
            raise CheckFailed(f"the media type is {exchange.media_type or 'missing'!r}", exchange)
        try:
            body = read_object(exchange.body)
        except UnreadableError as error:
            raise CheckFailed(f"the body {error}", exchange) from None
        complaint = self.contract.complaint(schema, body)
        if complaint:
            raise CheckFailed(f"the body is no {schema}: {complaint}", exchange)
        return body

    def refused(
        self, exchange: Exchange, status: int = 400, code: str = "invalid_request"
    ) -> dict[str, Any]:
        """The body of a refusal with this status and code; CheckFailed otherwise."""
        error = self.expect(exchange, status, "Error")
        if error["error"] != code:
            raise CheckFailed(f"the error is {error['error']!r}, not {code!r}", exchange)
        return error

    def key_set(self) -> dict[str, Any]:
        """The NAS's key set as it is now; CheckFailed unless it is as the contract has it."""
        exchange = self.wire.send("GET", self.options.jwks or KEYS, NOBODY)
        return self.expect(_means(exchange, "shape.key-set"), 200, "KeySet")

    def at_once(self, act: Callable[[S], T], items: Iterable[S]) -> list[T]:
        """Do something to each of the items, eight at a time; the results in order."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(act, items))

    def close(self) -> list[str]:
        """Cancel what was armed; what could not be, by job id."""
        if self._scenario is not None:
            self._scenario.close()
        armed = self.wire.armed()
        done = self.at_once(self._is_cancelled, armed)
        try:
            listed = self._listed()
            return sorted({job_id for job_id, _ in armed if job_id in listed})
        except CheckFailed:  # no list to look at, so believe the answers
            return sorted(job_id for (job_id, _), gone in zip(armed, done, strict=True) if not gone)

    def _listed(self) -> set[str]:
        """The jobs of both agents; CheckFailed when the lists cannot be read."""
        agents = [self.agent, self.other] if self.options.second else [self.agent]
        return {entry["job_id"] for agent in agents for entry in agent.list()[0]}

    def _is_cancelled(self, armed: tuple[str, Credential]) -> bool:
        """Cancel a job and say whether that was a success."""
        body = encode({"job_id": armed[0]})
        try:
            return self.wire.send("POST", CANCEL, armed[1], body).status == 200
        except CheckFailed:
            return False


def _means(exchange: Exchange, check: str) -> Exchange:
    """The exchange of a request that only serves another check than its own."""
    return attrs.evolve(exchange, rests_on=check)


def encode(body: object) -> bytes:
    """JSON as it goes on the wire; a lone surrogate becomes an escape."""
    return json.dumps(body).encode()


def check_instant(entry: dict[str, Any], fire_at: str, exchange: Exchange) -> None:
    """CheckFailed unless the entry has this instant, to the millisecond.

    Digits below the millisecond may have been cut off or rounded up.
    """
    wanted, got = parse_instant(fire_at), _instant(entry, exchange)
    finer = int(_BELOW_MS.search(fire_at) is not None)
    if not wanted <= got <= wanted + finer:
        raise CheckFailed(
            f"{fire_at} was armed and {entry['fire_at']} is listed: {got - wanted:+} ms", exchange
        )


def _instant(entry: dict[str, Any], exchange: Exchange) -> int:
    try:
        return parse_instant(entry["fire_at"])
    except ValueError as error:
        raise CheckFailed(f"fire_at of job {entry['job_id']}: {error}", exchange) from None
