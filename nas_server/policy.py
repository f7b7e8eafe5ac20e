"""The server's limits, lifetimes and patience: every number an operator or an agent can feel.

Each class is one concern, is frozen, and is passed to whatever obeys it. What the contract
says of one-shots themselves is in `nas_sdk.protocol.one_shot`. A name ends in its unit: ``_s``
seconds, ``_ms`` milliseconds; without one it is a count.
"""

from typing import Final

import attrs


@attrs.frozen(kw_only=True)
class HttpPolicy:
    """What one caller, and all of them together, may take of the server."""

    body_bytes: int = 65_536
    """Of a provision or a cancel; one of the contract's longest fields has 4 KiB."""
    body_s: float = 30.0
    """How long a body may take to arrive, and an idle connection is kept open."""
    taken_bytes: int = 65_536
    """How much of its answers a caller has to take within `body_s`, while it is kept waiting."""
    request_s: float = 30.0
    """How long the head of a connection's first request may take to arrive."""
    calls_burst_s: int = 60
    """An agent may make the calls of so many seconds at once: all its jobs, after a loss."""
    agents: int = 100_000
    """How many agents' calls are counted apart."""
    refusals: int = 32
    """So many callers at a time are told to come again; those beyond are hung up on."""
    refusal_s: float = 1.0
    """How long such a caller has to hear it."""
    again_s: float = 0.1
    """How long nobody is accepted where there was no descriptor for one."""
    retry_after_s: int = 5
    """What ``Retry-After`` says while the store fails."""
    ready_s: float = 2.0
    """How long the store may take for the server to be ready."""
    count_s: float = 5.0
    """How long ``/metrics`` waits for the store; a scrape mostly has 10 s."""
    counts_ms: int = 5_000
    """How long a count of the whole store is served again."""
    close_s: float = 5.0
    """How long connections have to end when the server stops."""


@attrs.frozen(kw_only=True)
class QuotaPolicy:
    """How an agent is held to the number of one-shots that it may have."""

    listed: int = 10_000
    """Contract: a list has 10 000 at most."""
    beside: int = 500
    """A longer list is written beside the event loop."""
    per_call: int = 100
    """For so many one-shots in it, a list counts as one call more."""
    granted: int = 500
    """How often an agent may arm until what it has is counted again, at the most."""
    part: int = 20
    """An agent has almost all it may have when less than one in so many of them is left."""
    again_ms: int = 5_000
    """How long the jobs of such an agent are known without being read again."""
    almost: int = 16
    """Of how many such agents the jobs are known at a time."""
    agents: int = 100_000
    """How many agents' arms are counted apart."""


@attrs.frozen(kw_only=True)
class DeliveryPolicy:
    """How agents are called."""

    batch: int = 500
    """Fires leased at a time, at most."""
    look_s: float = 1.0
    """The longest sleep, so that a system clock that is set forward is noticed; also the pause
    after the store or the process fails."""
    idle_s: float = 2.0
    """How long a connection is kept: an agent's machine stops when it is idle, and only a burst
    may use its connections again."""
    close_s: float = 1.0
    """How long an agent has to close TLS."""
    drain_s: float = 1.0
    """How long the rest of an answer is waited for, once its status is known."""
    looked_at: int = 32
    """How many of a name's addresses of each family are looked at. The name is the agent's, and
    an answer may have thousands."""
    addresses: int = 4
    """How many of them are tried. Each takes a descriptor."""
    next_address_s: float = 0.25
    """How long an address is tried before the next is tried beside it (RFC 8305)."""


@attrs.frozen(kw_only=True)
class KeyPolicy:
    """How long fire tokens and the keys that sign them live."""

    token_s: int = 90
    """Contract: `exp` 60 to 120 seconds ahead."""
    leeway_s: int = 60
    """How long after its end a token may still be verified: the contract's 30 s, and as much."""
    refresh_ms: int = 2_000
    """How soon a running server notices a rotation."""
    cached_s: int = 60
    """How long agents and whatever is between may keep the published set."""

    @property
    def publish_ahead_ms(self) -> int:
        """How long before its first signature a key is published."""
        return self.cached_s * 1_000 + 5 * self.refresh_ms

    @property
    def retire_ms(self) -> int:
        """From a key's last signature to the end of its publication."""
        return (self.token_s + self.leeway_s) * 1_000


@attrs.frozen(kw_only=True)
class LoginPolicy:
    """How agents log in, and for how long."""

    code_s: int = 600
    """How long a login may wait for its approval."""
    interval_s: int = 1
    """How often a program may ask whether it was approved; hermes does so each second."""
    poll_ms: int = 900
    """What is enforced of that: a clock or a network may be that much off."""
    polls: int = 5
    """How often it may ask at once."""
    pending: int = 100
    """How many logins may wait at a time."""
    refresh_ms: int = 90 * 86_400_000
    """How long a login lasts that is not renewed."""
    code_letters: int = 8
    """Of a user code."""
    starts: int = 10
    """Logins that one address may begin at once."""
    start_every_ms: int = 10_000
    """Then one each."""
    failures: int = 30
    """Refused exchanges of one address at once."""
    failure_every_ms: int = 1_000
    """Then one each."""
    addresses: int = 1_000
    """How many addresses are counted apart."""
    body_bytes: int = 8_192
    """Of a form."""
    field_chars: int = 1_024
    """Of a field of it."""


@attrs.frozen(kw_only=True)
class PagePolicy:
    """What the admin page shows, and to whom."""

    session_ms: int = 12 * 3_600_000
    """How long a login lasts."""
    tries: int = 5
    """To log in with what is not the token, from one address, at once."""
    try_every_ms: int = 10_000
    """Then one each."""
    addresses: int = 1_000
    """How many addresses are counted apart."""
    body_bytes: int = 16_384
    """Of a form."""
    rows: int = 20
    """How many rows of a table are shown, and read, at a time."""
    fresh_s: float = 0.5
    """How long what was gathered is shown again, at the least."""
    share: int = 10
    """It is shown again for so many times as long as gathering took, too."""
    views: int = 64
    """How many tables and sets of figures are kept so."""


@attrs.frozen(kw_only=True)
class HistoryPolicy:
    """How long what became of deliveries is kept."""

    keep_ms: int = 86_400_000
    """How long an attempt is kept."""
    per_agent: int = 500
    """How many attempts are kept of one agent, the newest; also the most asked for at once."""
    in_all: int = 200_000
    """How many a store that lasts keeps of all agents together."""


@attrs.frozen(kw_only=True)
class LogPolicy:
    """How many lines the log takes."""

    room: int = 10_000
    """How many lines wait to be read; those beyond are counted."""
    repeat_s: float = 10.0
    """A warning that comes again within this time is counted, and logged once."""
    repeats: int = 1_000
    """How many warnings are known apart."""
    end_s: float = 1.0
    """How long a stop waits for whoever reads the log."""


@attrs.frozen(kw_only=True)
class BudgetPolicy:
    """How much may be under way at a time: all of it needs file descriptors."""

    reserved: int = 64
    """Descriptors for the store, the log, name servers, and callers that are refused."""
    least: int = 4
    """Deliveries there may always be."""
    most: int = 10_000
    """Deliveries there may ever be."""
    agents: int = 64
    """So many agents can have deliveries at a time, however long they take, if there is room."""


@attrs.frozen(kw_only=True)
class SqlitePolicy:
    """How patient the SQLite store is."""

    busy_s: float = 10.0
    """How long another process may hold the file before that is an error."""
    watch_s: float = 0.5
    """How often it is seen whether anything can be written."""
    full_s: float = 0.5
    """How long a full storage counts as full before it is looked at again."""
    reserve_bytes: int = 4 * 2**20
    """Set aside, so that cancels can be written to a full storage."""
    ready: int = 10_000
    """How many due one-shots are held in memory without being counted again."""
    history: HistoryPolicy = HistoryPolicy()


@attrs.frozen(kw_only=True)
class JetStreamPolicy:
    """How alarms are handled, and how patient the JetStream store is."""

    lead_ms: int = 1_000
    """How long before its time an alarm is delivered, so that the time itself is met exactly."""
    hold_s: float = 15.0
    """How long a process may go without acknowledging an alarm."""
    room: int = 4_000
    """How many whose fires are not being delivered a process has at a time."""
    held: int = 100_000
    """Alarms delivered and not acknowledged, of all processes together."""
    replicas: int = 3
    """Of a new stream, where there is a cluster."""
    defer_ms: int = 5_000
    """How long an alarm is put off whose agent has all its deliveries under way; doubled each
    time."""
    defer_max_ms: int = 300_000
    """The longest that one is put off."""
    connect_s: float = 10.0
    """How long the first connection may take."""
    ping_s: int = 2
    """A server that leaves two such in a row unanswered is gone, and another is sought."""
    patience_s: float = 10.0
    """How long a question is repeated: an election takes a few seconds."""
    try_s: float = 2.0
    """How long one question waits for its answer, or for more of it."""
    repeats_s: int = 60
    """For how long a write is known, so that a repetition changes nothing."""
    sorted: int = 20_000
    """More one-shots than this are not put in order for the page."""
    attempts: int = 10_000
    """How many ended attempts may wait to be kept; those beyond are not kept."""
    attempts_at_once: int = 4
    """How many are written at a time, so that in a burst the fires come first."""
    attempts_read: int = 10_000
    """How many of all agents' attempts are looked at, the newest; all that are kept of one."""
    attempts_s: float = 5.0
    """How long the end, and whoever asks for attempts, waits for those."""
    history: HistoryPolicy = HistoryPolicy()


def _without_slash(url: str) -> str:
    return url.rstrip("/")


@attrs.frozen(kw_only=True)
class ServerConfig:
    """How a server behaves: what an operator says, and what has a default for everybody."""

    issuer: str = attrs.field(converter=_without_slash)
    """Its base URL as agents know it; the ``iss`` of its tokens."""
    allow_private_callbacks: bool = False
    per_agent: int = 8
    """Deliveries that may be under way for one agent at a time."""
    calls: int = 100
    """Calls that one agent may make a second, in the long run; 0 is no limit."""
    one_shots: int = 10_000
    """How many an agent may have; 0 is no limit. Contract: a list has 10 000 at most."""
    answer_timeout_s: float = 30.0
    """How long an agent may take to answer a fire. Contract: 30 seconds."""
    grace_s: float = 10.0
    """How long a stop waits for deliveries that are under way."""
    access_life_s: int = 3_600
    """How long an access token of a login lasts. hermes takes none that ends within two minutes."""
    http: HttpPolicy = HttpPolicy()
    quota: QuotaPolicy = QuotaPolicy()
    delivery: DeliveryPolicy = DeliveryPolicy()
    keys: KeyPolicy = KeyPolicy()
    logins: LoginPolicy = LoginPolicy()
    page: PagePolicy = PagePolicy()
    history: HistoryPolicy = HistoryPolicy()
    budget: BudgetPolicy = BudgetPolicy()


HTTP: Final = HttpPolicy()
DELIVERY: Final = DeliveryPolicy()
KEYS: Final = KeyPolicy()
LOGINS: Final = LoginPolicy()
PAGE: Final = PagePolicy()
HISTORY: Final = HistoryPolicy()
BUDGET: Final = BudgetPolicy()
LOGS: Final = LogPolicy()
SQLITE: Final = SqlitePolicy()
JETSTREAM: Final = JetStreamPolicy()
