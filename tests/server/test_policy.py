"""Every number of the reference NAS, literally, with its reason.

What the contract says of one-shots (how long a key is remembered, when one is given up) is in
`nas_sdk.protocol` and in its test_policy.
"""

from pathlib import Path

import pytest

from nas_server.cli import options
from nas_server.cli.command_line import _parser
from nas_server.policy import LOGINS
from tests.support.command_lines import options_of
from tests.support.durations import DAY, HOUR
from tests.support.numbers import Limit, disagreements, hidden_of, switches_of

NATS = "NATS's own number"
TOKEN_LIFE = "`exp` 60 to 120 seconds ahead"
PATIENCE = "no answer within 30 seconds"

STATED = {
    "cli.admin.SHOWN": Limit(100, "one-shots that were given up, listed by `status`"),
    "cli.options.TOKEN_LEAST": Limit(24, "an admin token that can be guessed is refused"),
    "cli.serving.BACKLOG": Limit(256, "connections that wait to be accepted"),
    "cli.serving.SWITCH_S": Limit(0.0005, "the store's thread takes many short turns"),
    "delivery.agent_connection.READ": Limit(16_384, "bytes before other agents have their turn"),
    "accounts.KNOWN": Limit(100_000, "tokens whose agent is known without a look into the store"),
    "delivery.http_answer.HEAD_LIMIT": Limit(16_384, "bytes of heads read of an answer"),
    "delivery.http_answer.BODY_LIMIT": Limit(16_384, "bytes of a body read of an answer"),
    "delivery.http_answer.INFORMATIONAL_MOST": Limit(8, "an agent may not answer without end"),
    "delivery.http_answer._SWITCHED": Limit(101, "a status of HTTP"),
    "delivery.http_answer._WITHOUT_BODY": Limit((204, 304), "statuses of HTTP"),
    "http.answers.DESCRIPTION_LIMIT": Limit(1_024, "characters", "maxLength: 1024"),
    "http.gate.ACCEPTED_AT_ONCE": Limit(16, "each takes a descriptor before it is looked at"),
    "http.serving._Handler.handle_error(status)": Limit(500, "aiohttp's own default"),
    "metrics._LATENESS_S": Limit(
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
        "a histogram's buckets: a change of them breaks people's queries",
    ),
    "page.chart.PARTS": Limit(48, "bars of the lateness chart: half an hour each"),
    "page.chart.DAY_MS": Limit(DAY, "a day"),
    "page.chart.SCALE_MS": Limit(HOUR, "the top of the lateness chart"),
    "page.chart.LINES": Limit(
        ((10, "10 ms"), (1_000, "1 s"), (60_000, "1 min"), (HOUR, "1 h")), "its lines"
    ),
    "page.chart._HOURS": Limit(
        ((0, "start", "24 h ago"), (50, "middle", "12 h ago"), (100, "end", "now")), "its labels"
    ),
    "page.chart._BOTTOM": Limit(86.0, "its drawing"),
    "page.chart._TOP": Limit(12.0, "its drawing"),
    "page.routes.HOURS": Limit((1, 6, 24), "what the timeline can show"),
    "page.timeline.BINS": Limit(72, "columns of the timeline"),
    "page.timeline.AGENTS": Limit(12, "agents on the timeline"),
    "page.timeline.HOUR_MS": Limit(HOUR, "an hour"),
    "page.watch.Wanted.hours": Limit(6, "what the timeline shows at first"),
    "schedule_ids.SIZE": Limit(10, "random bytes of an id, as everywhere"),
    "schedule_ids.AT_ONCE": Limit(256, "ids drawn at a time"),
    "policy.HttpPolicy.body_bytes": Limit(65_536, "a provision with its longest fields fits"),
    "policy.HttpPolicy.body_s": Limit(30.0, "a caller that sends nothing is not waited for"),
    "policy.HttpPolicy.request_s": Limit(30.0, "half a request holds no connection for good"),
    "policy.HttpPolicy.calls_burst_s": Limit(60, "all jobs of an agent at once, after a loss"),
    "policy.HttpPolicy.agents": Limit(100_000, "agents whose calls are counted apart"),
    "policy.HttpPolicy.refusals": Limit(32, "callers at a time that are told to come again"),
    "policy.HttpPolicy.refusal_s": Limit(1.0, "how long they have to hear it"),
    "policy.HttpPolicy.again_s": Limit(0.1, "accepting rests so long where no descriptor is"),
    "policy.HttpPolicy.retry_after_s": Limit(5, "a store that fails is not asked at once"),
    "policy.HttpPolicy.ready_s": Limit(2.0, "a probe mostly has 5 s"),
    "policy.HttpPolicy.count_s": Limit(5.0, "a scrape mostly has 10 s"),
    "policy.HttpPolicy.counts_ms": Limit(5_000, "counting reads the whole store"),
    "policy.HttpPolicy.close_s": Limit(5.0, "how long connections have to end on a stop"),
    "policy.QuotaPolicy.listed": Limit(10_000, "a list is whole", "maxItems: 10000"),
    "policy.QuotaPolicy.beside": Limit(500, "a longer list takes long to write"),
    "policy.QuotaPolicy.per_call": Limit(100, "a longer list takes long to read"),
    "policy.QuotaPolicy.granted": Limit(500, "arms of an agent that is not counted again"),
    "policy.QuotaPolicy.part": Limit(20, "room for less than a twentieth is almost none"),
    "policy.QuotaPolicy.again_ms": Limit(5_000, "an agent that has enough costs little"),
    "policy.QuotaPolicy.almost": Limit(16, "agents that have almost enough; 10 000 ids each"),
    "policy.QuotaPolicy.agents": Limit(100_000, "agents whose one-shots are counted apart"),
    "policy.HttpPolicy.taken_bytes": Limit(65_536, "in 30 s, of answers a caller does not take"),
    "policy.DeliveryPolicy.looked_at": Limit(32, "the name is the agent's"),
    "policy.DeliveryPolicy.batch": Limit(500, "fires leased at a time"),
    "policy.DeliveryPolicy.look_s": Limit(1.0, "a clock that is set forward is noticed"),
    "policy.DeliveryPolicy.idle_s": Limit(2.0, "an agent's machine stops when it is idle"),
    "policy.DeliveryPolicy.close_s": Limit(1.0, "how long an agent has to close TLS"),
    "policy.DeliveryPolicy.drain_s": Limit(1.0, "the status is known; the rest is politeness"),
    "policy.DeliveryPolicy.addresses": Limit(4, "two of each family, and few descriptors"),
    "policy.DeliveryPolicy.next_address_s": Limit(0.25, "RFC 8305"),
    "policy.KeyPolicy.token_s": Limit(90, "between the contract's bounds", TOKEN_LIFE),
    "policy.KeyPolicy.leeway_s": Limit(60, "clocks differ", "allows 30 seconds of clock skew"),
    "policy.KeyPolicy.refresh_ms": Limit(2_000, "how soon a rotation is noticed"),
    "policy.KeyPolicy.cached_s": Limit(60, "how long the key set may be cached"),
    "policy.LoginPolicy.code_s": Limit(600, "a person needs that long to approve a login"),
    "policy.LoginPolicy.interval_s": Limit(1, "hermes asks each second"),
    "policy.LoginPolicy.poll_ms": Limit(900, "what is enforced of that"),
    "policy.LoginPolicy.polls": Limit(5, "polls that may come at once"),
    "policy.LoginPolicy.pending": Limit(100, "logins that wait at a time"),
    "policy.LoginPolicy.refresh_ms": Limit(90 * DAY, "a login that is not renewed ends"),
    "policy.LoginPolicy.code_letters": Limit(8, "20^8 codes: nobody guesses one in ten minutes"),
    "policy.LoginPolicy.starts": Limit(10, "logins of one address at once"),
    "policy.LoginPolicy.start_every_ms": Limit(10_000, "70 within a code's life: not all the room"),
    "policy.LoginPolicy.failures": Limit(30, "refused exchanges of one address at once"),
    "policy.LoginPolicy.failure_every_ms": Limit(1_000, "then one a second"),
    "policy.LoginPolicy.addresses": Limit(1_000, "addresses that are counted apart"),
    "policy.LoginPolicy.body_bytes": Limit(8_192, "of a form"),
    "policy.LoginPolicy.field_chars": Limit(1_024, "of a field"),
    "policy.PagePolicy.session_ms": Limit(12 * HOUR, "a working day"),
    "policy.PagePolicy.tries": Limit(5, "wrong admin tokens of one address at once"),
    "policy.PagePolicy.try_every_ms": Limit(10_000, "then six a minute"),
    "policy.PagePolicy.addresses": Limit(1_000, "addresses that are counted apart"),
    "policy.PagePolicy.body_bytes": Limit(16_384, "of a form"),
    "policy.PagePolicy.rows": Limit(20, "rows of a table at a time"),
    "policy.PagePolicy.fresh_s": Limit(0.5, "many who look ask the store once"),
    "policy.PagePolicy.share": Limit(10, "the page takes a tenth of the store's time at most"),
    "policy.PagePolicy.views": Limit(64, "agents whose view is kept at a time"),
    "policy.HistoryPolicy.keep_ms": Limit(DAY, "how long an attempt is shown"),
    "policy.HistoryPolicy.per_agent": Limit(500, "attempts of one agent"),
    "policy.HistoryPolicy.in_all": Limit(200_000, "attempts of all agents"),
    "policy.LogPolicy.room": Limit(10_000, "lines that wait to be read"),
    "policy.LogPolicy.repeat_s": Limit(10.0, "a warning that repeats is logged so often"),
    "policy.LogPolicy.repeats": Limit(1_000, "warnings that are known apart"),
    "policy.LogPolicy.end_s": Limit(1.0, "a stop does not wait for a log nobody reads"),
    "policy.BudgetPolicy.reserved": Limit(64, "descriptors for all but deliveries and callers"),
    "policy.BudgetPolicy.least": Limit(4, "deliveries, however few descriptors there are"),
    "policy.BudgetPolicy.most": Limit(10_000, "deliveries, however many there are"),
    "policy.BudgetPolicy.agents": Limit(64, "agents that can have deliveries at a time, if any"),
    "policy.SqlitePolicy.busy_s": Limit(10.0, "a backup may hold the file for a while"),
    "policy.SqlitePolicy.watch_s": Limit(0.5, "how soon a full storage is noticed"),
    "policy.SqlitePolicy.full_s": Limit(0.5, "how soon one that has room again is"),
    "policy.SqlitePolicy.reserve_bytes": Limit(4 * 2**20, "room for cancels when there is none"),
    "policy.SqlitePolicy.ready": Limit(10_000, "names in memory that are no burden"),
    "policy.JetStreamPolicy.lead_ms": Limit(1_000, "alarms are delivered a little before the time"),
    "policy.JetStreamPolicy.hold_s": Limit(15.0, "how soon a dead process's work is taken over"),
    "policy.JetStreamPolicy.room": Limit(4_000, "alarms that one process has at a time"),
    "policy.JetStreamPolicy.held": Limit(100_000, "alarms that all have at a time"),
    "policy.JetStreamPolicy.replicas": Limit(3, "one server may be lost"),
    "policy.JetStreamPolicy.defer_ms": Limit(5_000, "what a full agent is put off for at first"),
    "policy.JetStreamPolicy.defer_max_ms": Limit(300_000, "and at most"),
    "policy.JetStreamPolicy.connect_s": Limit(10.0, "a cluster that comes up is waited for"),
    "policy.JetStreamPolicy.ping_s": Limit(2, "a server that is gone is noticed in 4 s"),
    "policy.JetStreamPolicy.patience_s": Limit(10.0, "an election takes a few seconds"),
    "policy.JetStreamPolicy.try_s": Limit(2.0, "of one question"),
    "policy.JetStreamPolicy.repeats_s": Limit(60, "a write that is repeated changes nothing"),
    "policy.JetStreamPolicy.sorted": Limit(20_000, "the cluster keeps no order in time"),
    "policy.JetStreamPolicy.attempts": Limit(10_000, "attempts that wait to be kept"),
    "policy.JetStreamPolicy.attempts_read": Limit(10_000, "attempts read for the page"),
    "policy.JetStreamPolicy.attempts_at_once": Limit(4, "in a burst the fires come first"),
    "policy.JetStreamPolicy.attempts_s": Limit(5.0, "how long a stop waits for those"),
    "policy.ServerConfig.per_agent": Limit(8, "an agent that hangs takes no more deliveries"),
    "policy.ServerConfig.calls": Limit(100, "calls of one agent a second"),
    "policy.ServerConfig.one_shots": Limit(10_000, "a list is whole", "maxItems: 10000"),
    "policy.ServerConfig.answer_timeout_s": Limit(30.0, "for an agent's answer", PATIENCE),
    "policy.ServerConfig.grace_s": Limit(10.0, "how long a stop waits for deliveries"),
    "policy.ServerConfig.access_life_s": Limit(3_600, "hermes takes none under two minutes"),
    "store.jetstream.room.LOOK_S": Limit(1.0, "how soon it is seen that the storage is full"),
    "store.jetstream.room.KEPT_BACK": Limit(4_194_304, "4 MiB of each replica, for what is due"),
    "store.jetstream.room.SHARE": Limit(8, "an eighth of a limit is kept back at most"),
    "store.jetstream.room.LATE": Limit(3, "looks before the last that count as well"),
    "store.jetstream.room.OVERHEAD": Limit(256, "bytes a message takes beside its content"),
    "store.jetstream.store.ONE_SHOT": Limit(1_024, "bytes of a one-shot, its URL aside"),
    "store.jetstream.link._NOT_STORED": Limit(10_077, "a code of NATS"),
    "store.jetstream.alarms.DEFER_AT_ONCE": Limit(64, "alarms put off at a time"),
    "store.jetstream.alarms._LAST_MS": Limit(7_258_118_400_000, "the year 2200"),
    "store.jetstream.job_record.KEYS": Limit(60, "delivered keys of a job in 10 minutes"),
    "store.jetstream.job_record._SLACK_S": Limit(60, "the cluster's clock may differ"),
    "store.jetstream.link.PAUSE_S": Limit(0.05, "between two tries"),
    "store.jetstream.link.PAGE": Limit(1_000, "a server gives 1,024 at once"),
    "store.jetstream.link.NO_MESSAGE": Limit(10037, NATS),
    "store.jetstream.link._STORING": Limit(10158, NATS),
    "store.jetstream.link._AWAY_CODE": Limit(503, NATS),
    "store.jetstream.pull.EXPIRES_S": Limit(30.0, "of a request for alarms"),
    "store.jetstream.pull.HEARTBEAT_S": Limit(1.0, "how soon a server that is gone is noticed"),
    "store.jetstream.pull.SILENCE_S": Limit(2.5, "two heartbeats missed"),
    "store.jetstream.pull.PAUSE_S": Limit(0.25, "between two requests that failed"),
    "store.jetstream.setup.OLDEST": Limit((2, 12), "the first nats-server with schedules"),
    "store.jetstream.setup._NOT_CLUSTERED": Limit(10074, NATS),
    "store.jetstream.setup._NO_ROOM": Limit(10005, NATS),
    "store.jetstream.setup._NO_STREAM": Limit(10059, NATS),
    "store.jetstream.job_records.AT_ONCE": Limit(64, "records read at a time"),
    "store.jetstream.leases.AT_ONCE": Limit(64, "one-shots leased or dropped at a time"),
    "store.sqlite.held._FEW": Limit(1_000, "attempts held in memory; wakes that are no burden"),
    "store.sqlite.file_guard._DIGITS": Limit(16, "of a mark's count, which never wraps"),
    "store.sqlite.file_guard._LOG_HEAD": Limit(32, "SQLite's file format: a log's header"),
    "store.sqlite.file_guard._FRAME_HEAD": Limit(24, "SQLite's file format: a frame's header"),
    "store.sqlite.file_guard._SALT_AT": Limit(16, "SQLite's file format: where in the header"),
    "store.sqlite.reserve.SHARE": Limit(8, "of what is free an eighth is set aside at most"),
    "store.sqlite.rows.SLICE": Limit(100, "what is over is forgotten so many at a time"),
    "store.sqlite.rows.FORGET_MS": Limit(
        1_000, "a look for keys that are over costs as much as one"
    ),
    "store.jetstream.batched_reads.FEW": Limit(8, "fewer reads than this cost less one by one"),
    "store.sqlite.rows.FORGET_EVERY": Limit(32, "every so many attempts old ones are forgotten"),
    "store.sqlite.schema.APPLICATION_ID": Limit(0x4E415331, "a store of another program is none"),
    "store.sqlite.writer.GROUP": Limit(1_000, "writes that are synced together"),
    "store.sqlite.writer.PAGE_SIZE": Limit(4_096, "SQLite's own"),
    "store.sqlite.writer.LOG_PAGES": Limit(1_000, "how long the log of writes becomes"),
}


def test_every_number_is_as_stated() -> None:
    assert disagreements("nas_server", STATED) == []


def test_one_address_cannot_take_all_the_room_of_logins() -> None:
    at_once, most = LOGINS.starts, LOGINS.pending
    assert at_once + LOGINS.code_s * 1_000 / LOGINS.start_every_ms < most


def test_every_option_has_the_default_that_is_documented() -> None:
    assert options.DEFAULTS == {
        "host": "127.0.0.1",
        "port": 8787,
        "store": "sqlite:nas.db",
        "issuer": None,
        "admin_token": None,
        "allow_private_callbacks": False,
        "per_agent": 8,
        "calls": 100,
        "one_shots": 10_000,
        "grace": 10.0,
        "log_level": "info",
    }


def test_every_command_takes_what_is_documented() -> None:
    everywhere = {"--config": None, "--store": "sqlite:nas.db"}
    command = {**everywhere, "--json": False}
    assert options_of(_parser(options.gather(None, {}))) == {
        "serve": {
            **everywhere,
            "--host": "127.0.0.1",
            "--port": 8787,
            "--issuer": None,
            "--allow-private-callbacks/--no-allow-private-callbacks": False,
            "--per-agent": 8,
            "--calls": 100,
            "--one-shots": 10_000,
            "--grace": 10.0,
            "--log-level": "info",
        },
        "agent add": {
            **command,
            "name": ...,
            "--instance-id": None,
            "--no-token": False,
            "--token-file": None,
            "--create": False,
        },
        "agent approve": {**command, "code": ..., "name": None},
        "agent deny": {**command, "code": ...},
        "agent rotate": {
            **command,
            "name": ...,
            "--token-file": None,
            "--keep-armed": False,
            "--compromised": False,
        },
        "agent revoke": {**command, "name": ...},
        "agent list": command,
        "keys rotate": command,
        "admin token": {**command, "--off": False, "--token-file": None, "--create": False},
        "status": command,
    }


@pytest.mark.parametrize(
    ("name", "said", "value"),
    [
        ("host", "::1", "::1"),
        ("port", "0", 0),
        ("port", "65535", 65_535),
        ("store", "sqlite:other.db", "sqlite:other.db"),
        ("issuer", "https://nas.example/base", "https://nas.example/base"),
        ("admin_token", " 24-letters-or-more-by-it ", "24-letters-or-more-by-it"),
        ("per_agent", "1", 1),
        ("per_agent", "10000", 10_000),
        ("calls", "0", 0),
        ("calls", "1000000", 1_000_000),
        ("one_shots", "0", 0),
        ("one_shots", "10000", 10_000),
        ("grace", "0", 0.0),
        ("grace", "3600", 3_600.0),
        *(("log_level", level, level) for level in ("debug", "info", "warning", "error")),
        *(("allow_private_callbacks", yes, True) for yes in ("1", "true", "yes", "on")),
        *(("allow_private_callbacks", no, False) for no in ("0", "false", "no", "off")),
    ],
)
def test_every_option_has_its_variable_and_takes_its_whole_range(
    name: str, said: str, value: object
) -> None:
    assert options.gather(None, {f"NAS_SERVER_{name.upper()}": said})[name] == value


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("admin_token", "23-letters-are-too-few!"),
        ("per_agent", "0"),
        ("per_agent", "10001"),
        ("calls", "-1"),
        ("calls", "1000001"),
        ("one_shots", "-1"),
        ("one_shots", "10001"),
        ("grace", "-0.1"),
        ("grace", "3600.1"),
        ("grace", "nan"),
        ("log_level", "trace"),
        ("issuer", "nas.example"),
        ("issuer", "https://nas.example?query"),
        ("allow_private_callbacks", "2"),
    ],
)
def test_what_is_beyond_is_refused(name: str, said: str) -> None:
    with pytest.raises(options.OptionError, match=f"(?i){name}"):
        options.gather(None, {f"NAS_SERVER_{name.upper()}": said})


def test_a_file_of_options_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "nas.toml"
    file.write_text("port = 1234")
    assert options.gather(None, {"NAS_SERVER_CONFIG": str(file)})["port"] == 1_234


def test_every_switch_is_as_stated() -> None:
    assert switches_of("nas_server") == {
        "accounts.AgentAccount.revoked": False,
        "accounts.Accounts.add(token)": True,
        "accounts.Accounts.rotate(keep_armed)": True,
        "http.answers.unauthorized(known)": False,
        "logins.Pending.denied": False,
        "logs.log_event(error)": False,
        "policy.ServerConfig.allow_private_callbacks": False,
        "store.open_store(create)": True,
        "store.jetstream.alarms.PendingAlarm.in_progress": False,
        "store.jetstream.alarms.Alarms.reschedule(leased)": False,
        "store.jetstream.setup._Client._process_info(initial_connection)": False,
        "store.jetstream.setup.prepare(create)": True,
        "store.jetstream.store.JetStreamStore.open(serving)": True,
        "store.jetstream.store.JetStreamStore.open(create)": True,
        "store.sqlite.store.SqliteStore.open(serving)": True,
        "store.sqlite.store.SqliteStore.open(create)": True,
        "store.sqlite.writer._Job.writes": True,
        "store.sqlite.writer._Job.frees": False,
        "store.sqlite.writer.Writer.run(frees)": False,
    }


def test_secrets_are_not_shown() -> None:
    """No repr, and so no traceback and no log, shows a token, a key or what they came with."""
    assert hidden_of("nas_server") == {
        "accounts.Credential": {"chain_hash", "refresh_hash", "token_hash"},
        "accounts.AgentAccount": {"chain_hash", "refresh_hash", "token_hash"},
        "keys.SigningKey": {"private"},
        "logins.Grant": {"access_token", "refresh_token"},
        "logins.Pending": {"device_hash"},
        "store.jetstream.setup.Place": {"login"},
    }
