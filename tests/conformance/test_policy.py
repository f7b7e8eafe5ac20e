"""Every number of the kit, literally, with its reason."""

import pytest

from nas_conformance.cli import _parser
from tests.support.command_lines import options_of
from tests.support.numbers import Limit, disagreements, hidden_of, switches_of

STATED = {
    "checks.arming._LONGEST": Limit(128, "the longest job id", "maxLength: 128"),
    "checks.arming._MANY": Limit(101, "one more than a page of a hundred, should there be pages"),
    "checks.firing._MINTED_WITHIN": Limit(10.0, "how far `iat` may be from now, in seconds"),
    "checks.refusals._OTHER_TYPES": Limit(
        (None, 7, True, 1.5, ["x"], {"x": "y"}), "what is no text"
    ),
    "checks.stories._LONGEST": Limit(16, "steps of a story"),
    "checks.stories._MOST_TRIALS": Limit(60, "tries to make a story that failed shorter"),
    "report.WIDTH": Limit(80, "columns of a report"),
    "report._LABEL": Limit(10, "columns of its labels"),
    "report._SHOWN": Limit(600, "characters shown of a body"),
    "runner.context.DAY_MS": Limit(86_400_000, "a day"),
    "runner.context.Context.refused(status)": Limit(400, "what a bad request is answered with"),
    "runner.options._SECRET_MIN": Limit(8, "a shorter token would hide words of the report"),
    "runner.options.Patience.soon": Limit(1.5, "from now to a fire that is awaited, in seconds"),
    "runner.options.Patience.retry_after": Limit(2, "what the kit asks NAS to wait, in seconds"),
    "runner.options.Patience.quiet": Limit(3.0, "how long nothing is to come, in seconds"),
    "runner.options.Patience.most": Limit(60.0, "how long a fire is awaited, in seconds"),
    "runner.options.Options.examples": Limit(30, "generated requests of each kind"),
    "runner.options.Options.deadline": Limit(300.0, "of the whole run, in seconds"),
    "runner.receiver._BODY_MAX": Limit(65_536, "bytes read of a fire"),
    "runner.receiver._HOLD_MAX": Limit(
        25.0, "a fire is held for less than NAS's patience", "no answer within 30 seconds"
    ),
    "runner.receiver.Delivery.answered": Limit(404, "what a fire for nobody is answered with"),
    "runner.receiver._Server.request_queue_size": Limit(128, "fires that come at once"),
    "runner.scenario._SETTLES": Limit(5.0, "how long NAS has to take a cancel back, in seconds"),
    "runner.wire._PATIENCE_429": Limit(3, "a NAS that says 429 is asked so often"),
    "runner.wire._LONGEST_WAIT": Limit(10.0, "what a `Retry-After` is honoured up to, in seconds"),
}


def test_every_number_is_as_stated() -> None:
    assert disagreements("nas_conformance", STATED) == []


def test_every_option_has_the_default_that_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAS_TOKEN", "NAS_SECOND_TOKEN", "NAS_EXPIRED_TOKEN", "NAS_UNPROVISIONED_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # Those of the run that are None have the defaults of `runner.options`.
    assert options_of(_parser()) == {
        "": {
            "--url": None,
            "--token": None,
            "--second-token": None,
            "--expired-token": None,
            "--unprovisioned-token": None,
            "--allow-http": False,
            "--only": [],
            "--list": False,
            "--examples": None,
            "--seed": None,
            "--deadline": None,
            "--json": False,
            "--junit": None,
            "--receive": False,
            "--receive-port": None,
            "--callback-url": None,
            "--jwks": None,
            "--issuer": None,
            "--audience": None,
            "--patience": 60.0,
            "--clock-skew": 0.0,
        }
    }


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("token", "NAS_TOKEN"),
        ("second_token", "NAS_SECOND_TOKEN"),
        ("expired_token", "NAS_EXPIRED_TOKEN"),
        ("unprovisioned_token", "NAS_UNPROVISIONED_TOKEN"),
    ],
)
def test_each_token_has_its_variable(
    monkeypatch: pytest.MonkeyPatch, option: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "from-the-environment")
    flag = f"--{option.replace('_', '-')}"
    assert getattr(_parser().parse_args([]), option) == "from-the-environment"
    assert getattr(_parser().parse_args([flag, "said"]), option) == "said"


def test_every_switch_is_as_stated() -> None:
    assert switches_of("nas_conformance") == {
        "runner.options.Options.receive": False,
        "runner.receiver._Server.daemon_threads": True,
    }


def test_secrets_are_not_shown() -> None:
    """No repr, and so no traceback and no log, shows a token, a key or what they came with."""
    assert hidden_of("nas_conformance") == {
        "runner.options.Options": {"expired", "second", "token", "unprovisioned"},
        "runner.receiver.Delivery": {"headers"},
        "runner.wire.Credential": {"header"},
    }
