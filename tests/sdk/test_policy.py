"""Every number of the SDK, literally, with its reason; seconds unless the name says otherwise."""

from nas_sdk._core.config import DEFAULT_TIMEOUT
from tests.support.numbers import Limit, disagreements, hidden_of, switches_of

YEAR = 366 * 86_400.0

STATED = {
    "_core.call_state._TOKEN_MIN": Limit(8, "a shorter token would hide words of an error"),
    "_core.config.DEFAULT_ATTEMPTS": Limit(4, "three retries: a restart of NAS is outlived"),
    "_core.config.DEFAULT_DEADLINE": Limit(60.0, "a call ends while somebody still waits"),
    "_core.config.LIMIT_MAX": Limit(YEAR, "the longest limit of time that is accepted"),
    "_core.config.checked_count(most)": Limit(10**9, "the largest number of attempts"),
    "_core.deadlines.SLICE": Limit(0.25, "how soon a wait that is ended ends"),
    "_core.operations._QUOTED_MAX": Limit(300, "characters an error quotes of an answer"),
    "_core.policy.ClientPolicy.first_step": Limit(0.5, "the wait after a first failure, at most"),
    "_core.policy.ClientPolicy.last_step": Limit(8.0, "where the doubling ends"),
    "_core.policy.ClientPolicy.retry_after_max": Limit(60.0, "a longer one ends the call"),
    "_core.policy.ClientPolicy.body_max": Limit(64 * 2**20, "bytes: 10,000 entries fit"),
    "_core.policy.ClientPolicy.stop": Limit(0.5, "an interrupted batch ends within a second"),
    "_core.retry.ASKED_MAX": Limit(YEAR, "what a longer `Retry-After` counts as"),
    "_core.tokens.EXPIRY_MARGIN": Limit(30.0, "a token does not end on its way"),
    "_core.tokens.RENEW_AGAIN_SECONDS": Limit(300.0, "a login is not renewed in a circle"),
    "_core.validation.JOB_ID_MAX": Limit(128, "characters", "maxLength: 128"),
    "_core.validation.CALLBACK_URL_MAX": Limit(2_048, "characters", "maxLength: 2048"),
    "_core.validation.SCHEDULE_ID_MAX": Limit(256, "characters", "maxLength: 256"),
    "_transport.async_wires._Protocol.BUFFER_MAX": Limit(262_144, "bytes read ahead"),
    "_transport.permits.LOOK_AGAIN": Limit(0.05, "how soon an owner that vanished is noticed"),
    "_transport.pool.IDLE_SECONDS": Limit(30.0, "shorter than servers keep a connection"),
    "_transport.pool.SWEEP_SECONDS": Limit(1.0, "how often idle connections are looked at"),
    "aclient._CONNECTIONS": Limit(16, "more of them are no faster in one event loop"),
    "aclient.AsyncNasClient.__init__(max_attempts)": Limit(4, "as DEFAULT_ATTEMPTS"),
    "aclient.AsyncNasClient.__init__(deadline)": Limit(60.0, "as DEFAULT_DEADLINE"),
    "client._CONNECTIONS": Limit(32, "a thousand provisions at 30 ms take 1.6 s"),
    "client.NasClient.__init__(max_attempts)": Limit(4, "as DEFAULT_ATTEMPTS"),
    "client.NasClient.__init__(deadline)": Limit(60.0, "as DEFAULT_DEADLINE"),
    "protocol.table.SLICE": Limit(100, "what is over is forgotten so many at a time"),
    "protocol.one_shot.LEASE_MS": Limit(60_000, "twice what an agent has to answer"),
    "protocol.one_shot.REMEMBER_MS": Limit(
        600_000,
        "a request that was delayed on its way fires nothing twice",
        "was delivered and accepted within the last 10 minutes",
    ),
    "protocol.one_shot.CLOCKS_MS": Limit(60_000, "clocks are set by seconds, mistakes by hours"),
    "protocol.one_shot.GIVE_UP_MS": Limit(
        86_400_000,
        "an agent that is away for a night still gets its fire",
        "After 24 hours of failed attempts NAS may give the one-shot up",
    ),
    "protocol.one_shot.KEEP_DEAD_MS": Limit(7 * 86_400_000, "people look within a week"),
    "protocol.one_shot.BACKOFF_BASE_MS": Limit(1_000, "the first retry, at most"),
    "protocol.one_shot.BACKOFF_CAP_MS": Limit(600_000, "where the doubling ends"),
    "protocol.one_shot.RETRY_AFTER_MAX_MS": Limit(
        3_600_000, "no agent puts itself off for good", "an hour at most, whatever is asked"
    ),
    "_transport.wires.Outbox.MOST": Limit(65_536, "a larger body is sent apart from its head"),
    "reconcile.apply.INLINE_MAX": Limit(8, "so few writes need no threads"),
    "reconcile.desired.LOOK_AGAIN_SECONDS": Limit(60.0, "what changes without a word"),
    "reconcile.fire_gate.EARLY_SECONDS": Limit(
        30.0, "clocks differ by so much", "The receiver allows 30 seconds of clock skew"
    ),
    "reconcile.planning.OVERDUE_STEP_MS": Limit(30_000, "a fire that was lost is tried again"),
    "reconcile.planning.OVERDUE_STEP_MAX_MS": Limit(
        900_000, "longer than NAS remembers a key", "within the last 10 minutes"
    ),
    "reconcile.planning.CLOCKS_MS": Limit(
        30_000, "clocks differ by so much", "The receiver allows 30 seconds of clock skew"
    ),
    "reconcile.planning.WATCHDOG_MS": Limit(900_000, "after the earliest job, so never in health"),
    "reconcile.planning.WATCHDOG_SLACK_MS": Limit(600_000, "it is not moved at every fire"),
    "reconcile.planning.SPARE_WATCHDOG_MS": Limit(
        3_600_000, "after the first watchdog, which may be lost in its own fire"
    ),
    "reconcile.planning.SPARE_WATCHDOG_SLACK_MS": Limit(2_400_000, "never closer to the first"),
    "reconcile.planning.watchdog(after)": Limit(900_000, "the first of the two is the default"),
    "reconcile.planning.watchdog(slack)": Limit(600_000, "the first of the two is the default"),
    "reconcile.planning.EVER_MS": Limit(10**15, "a span that any time lies within"),
    "reconcile.planning.LAST_MS": Limit(253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    "reconcile.policy.ReconcilePolicy.delay": Limit(2.0, "the event may reconcile by itself"),
    "reconcile.policy.ReconcilePolicy.backoff_first": Limit(1.0, "after a failure"),
    "reconcile.policy.ReconcilePolicy.backoff_longest": Limit(60.0, "where the doubling ends"),
    "reconcile.policy.ReconcilePolicy.login_wait": Limit(30.0, "a login is not asked in a circle"),
    "reconcile.policy.ReconcilePolicy.refused_wait": Limit(900.0, "a refusal may pass, slowly"),
    "reconcile.policy.ReconcilePolicy.retry_after_max": Limit(3600.0, "as NAS bears an agent's"),
    "reconcile.policy.ReconcilePolicy.arm": Limit(15.0, "one arm ahead of the reconcile"),
    "reconcile.policy.ReconcilePolicy.rounds": Limit(3, "a store that changes without end"),
    "testing.keys.LIFETIME": Limit(
        90, "of a fire token of the double", "`exp` 60 to 120 seconds ahead"
    ),
    "testing.time.VirtualClock.__init__(start)": Limit(1_767_225_600.0, "the beginning of 2026"),
    "webhooks._fetch.BODY_MAX": Limit(256 * 1024, "bytes: a hundred keys fit", "maxItems: 100"),
    "webhooks._key_state._MOMENT": Limit(2.0, "a clock that jumps further was set"),
    "webhooks._key_state._FETCHES_MAX": Limit(2, "one that hangs, and one in its place"),
    "webhooks._keys.RSA_BITS_MIN": Limit(2_048, "RFC 7518 asks for as much"),
    "webhooks._token._YEAR_10000": Limit(253_402_300_800, "what dates end at"),
    "webhooks.errors.TOKEN_MAX": Limit(8 * 1024, "characters; real ones have fewer than 1,000"),
    "webhooks.errors.LIFETIME_MAX": Limit(
        600, "a stolen token is not good for hours", "`exp` 60 to 120 seconds ahead"
    ),
    "webhooks.errors.FireError.status": Limit(400, "what a bad body is answered with"),
    "webhooks.errors.FireRefused.status": Limit(401, "what a bad token is answered with"),
    "webhooks.jwks.JwksCache.__init__(lifespan)": Limit(300.0, "how late a rotation is noticed"),
    "webhooks.jwks.JwksCache.__init__(stale_for)": Limit(
        24 * 3_600.0, "an outage of the key set refuses no fire"
    ),
    "webhooks.jwks.JwksCache.__init__(cooldown)": Limit(30.0, "anybody can make up key ids"),
    "webhooks.jwks.JwksCache.__init__(timeout)": Limit(5.0, "of one step of a fetch"),
    "webhooks.verifier.BODY_MAX": Limit(64 * 1024, "bytes of a fire"),
    "webhooks.verifier._Verifier.__init__(leeway)": Limit(
        30.0, "clocks differ by so much", "The receiver allows 30 seconds of clock skew"
    ),
}


def test_every_number_is_as_stated() -> None:
    assert disagreements("nas_sdk", STATED) == []


def test_the_timeout_of_one_attempt() -> None:
    assert DEFAULT_TIMEOUT.as_dict() == {"connect": 5.0, "read": 15.0, "write": 15.0, "pool": None}


def test_every_switch_is_as_stated() -> None:
    assert switches_of("nas_sdk") == {
        "_core.base_client.BaseClient._is_view": False,
        "aclient.AsyncNasClient.__init__(allow_http)": False,
        "client.NasClient.__init__(allow_http)": False,
        "protocol.one_shot.StoredOneShot.dead": False,
        "protocol.one_shot.DeliveryResult.ran": True,
        "reconcile.agent.AgentReconciler.watchdog": True,
        "reconcile.agent.AgentReconciler.spare_watchdog": False,
        "reconcile.desired.Jobs.is_new": False,
        "reconcile.desired.Surroundings.watchdog": True,
        "reconcile.desired.Surroundings.spare_watchdog": False,
        "reconcile.desired.Surroundings.woken": False,
        "reconcile.reconciler.Status.fatal_error": False,
        "testing.nas.InMemoryNas.__init__(normalise)": True,
        "testing.nas.InMemoryNas.fail_next(applied)": False,
        "webhooks.jwks.JwksCache.__init__(allow_http)": False,
        "webhooks.verifier._FixedKeys.is_warm": True,
    }


def test_secrets_are_not_shown() -> None:
    """No repr, and so no traceback and no log, shows a token, a key or what they came with."""
    assert hidden_of("nas_sdk") == {
        "_core.replies.Reply": {"headers"},
        "webhooks._keys.VerifyKey": {"also", "key"},
        "webhooks._token.FireClaims": {"raw"},
    }
