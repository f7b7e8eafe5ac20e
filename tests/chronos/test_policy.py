"""Every number of the plugin, literally, with its reason."""

from chronos_plugin.cli import command_line
from tests.support.command_lines import options_of
from tests.support.numbers import Limit, disagreements, switches_of

STATED = {
    "cli.check_config.CLOSE": Limit(0.55, "how alike a misspelt key and a known one are"),
    "cli.check_nas.PATIENCE_SECONDS": Limit(5.0, "doctor: one step of a look at NAS or the agent"),
    "cli.check_nas.FIRE_SECONDS": Limit(20.0, "doctor: how long its own test fire may take"),
    "cli.check_nas.SKEW_SECONDS": Limit(
        (5.0, 30.0),
        "doctor: a clock off by the first is told, by the second an error: tokens are refused",
        "The receiver allows 30 seconds of clock skew",
    ),
    "cli.commands.PATIENCE_SECONDS": Limit(120.0, "how long `chronos reconcile` waits for NAS"),
    "cli.doctor.LOADED_SECONDS": Limit(10.0, "doctor: how long hermes may take to load"),
    "cli.fire_job.LEAD_SECONDS": Limit(8.0, "doctor --fire: time to arm a job before it is due"),
    "cli.fire_job.PATIENCE_SECONDS": Limit(
        90.0, "doctor --fire: for a wake, a claim, the next arm"
    ),
    "cli.fire_job.RUN_SECONDS": Limit(600.0, "doctor --fire: how long a run may take"),
    "cli.fire_job._POLL_SECONDS": Limit(0.3, "doctor --fire: how soon a step is seen"),
    "cli.formatting._UNITS": Limit(
        ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")), "how a span of time is shown"
    ),
    "cli.formatting.NARROWEST": Limit(8, "a column of a table is no narrower"),
    "cli.login.TOKEN_LIMIT": Limit(16_384, "a longer file is no token"),
    "cli.status.EVERY_SECONDS": Limit(5.0, "how often `chronos status --watch` looks"),
    "cli.status_report.OVERDUE_SECONDS": Limit(60.0, "a job that waits longer is a problem"),
    "cli.tail.POLL_SECONDS": Limit(0.3, "how soon `chronos tail` shows a line"),
    "cli.target._interpreter(hops)": Limit(3, "shell scripts followed to hermes's Python"),
    "hook._chronos_hook.ATTEND_SECONDS": Limit(3.0, "the fire that woke the machine comes first"),
    "hook._chronos_hook.LOOK_SECONDS": Limit(60.0, "how soon a new profile is noticed"),
    "plugin_runtime.PROMPT": Limit({"timeout": 3.5, "deadline": 3.5}, "a person waits at a prompt"),
    "claims.LIVE_SECONDS": Limit(
        (("fire_claim", 300), ("run_claim", 1_800)), "hermes's own limits for claims"
    ),
    "claims.RUN_SECONDS": Limit(6 * 3_600, "a run that is open for longer was lost"),
    "scheduler.HOLD_BEFORE_ANSWER_SECONDS": Limit(
        15.0, "an early fire is held for half of NAS's patience", "no answer within 30 seconds"
    ),
    "scheduler.CLAIM_SECONDS": Limit(35.0, "a job that is claimed by then is to run by then"),
    "scheduler.PROMPT_SECONDS": Limit(8.0, "how long a command at a prompt waits for NAS"),
    "scheduler.REARM_SECONDS": Limit(20.0, "how long a run holds the machine until it is armed"),
    "scheduler.START_SECONDS": Limit(60.0, "how long the start of a gateway waits for NAS"),
    "serving_status.FIRES_MAX": Limit(256 * 1024, "the file of fires grows no larger, in bytes"),
    "verify.COLD_SECONDS": Limit(10.0, "the longest wait for NAS's first keys"),
    "verify.LEEWAY": Limit(
        30.0, "how far clocks may be apart", "The receiver allows 30 seconds of clock skew"
    ),
    "verify.verify_nas_fire_token(leeway_seconds)": Limit(30.0, "the same, as hermes has it"),
}


def test_every_number_is_as_stated() -> None:
    assert disagreements("chronos_plugin", STATED) == []


def test_every_option_has_the_default_that_is_documented() -> None:
    everywhere = {"--hermes": None}
    home = {**everywhere, "--home": None}
    assert options_of(command_line()) == {
        "install": {**everywhere, "--dry-run": False},
        "uninstall": {**everywhere, "--dry-run": False},
        "login": {**home, "--token-file": ..., "--portal-url": None},
        "doctor": {**home, "--json": False, "--no-fire": False, "--fire": None},
        "status": {**home, "--json": False, "--watch": False},
        "tail": {**home, "-n": 20, "--no-follow": False},
        "reconcile": home,
        "disarm": home,
    }


def test_every_switch_is_as_stated() -> None:
    assert switches_of("chronos_plugin") == {
        "cli.target.find(here)": True,
        "hook._chronos_hook.MYPY": False,
        "plugin_runtime.PluginRuntime.request_reconcile(woken)": True,
        "plugin_runtime.PluginRuntime._request_all(woken)": False,
        "serving_status.is_free(remove)": False,
        "store.Store.is_missing": False,
    }
