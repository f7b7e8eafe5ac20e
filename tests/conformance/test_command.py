"""The command: what it says, to whom, and its exit status."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web

from nas_conformance.__main__ import main
from nas_conformance.cli import _given, _parser
from nas_conformance.runner import suite
from nas_conformance.runner.context import Context
from nas_conformance.runner.options import Patience
from nas_conformance.runner.suite import CHECKS
from nas_server.store import MemoryStore
from tests.conformance.bugs import BUGS
from tests.conformance.planting import Bug, answering
from tests.support.nas_in_thread import Threaded, nas_in_thread

pytestmark = [pytest.mark.off_contract("request"), pytest.mark.off_contract("response")]

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAS_BASE_URL", "NAS_TOKEN", "NAS_SECOND_TOKEN"):
        monkeypatch.delenv(name, raising=False)


PLANTED = {bug.name: bug for bug in BUGS}


def run_against(bug: Bug | None, *options: str) -> tuple[int, Threaded]:
    """Run the command against the reference NAS, or one with a bug."""
    given = (bug.store(), bug.change) if bug else ()
    with nas_in_thread(*given) as nas:
        return main(["--url", nas.url, "--token", nas.token, *options]), nas


def test_success_is_0_and_one_line_per_check(capsys: Captured) -> None:
    status, nas = run_against(None, "--only", "cancel.*")
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("ok ")] == [
        "cancel.armed",
        "cancel.unknown",
        "cancel.then-arm",
    ]
    assert "3 passed, 0 failed" in out
    assert nas.token not in out


def test_a_failure_is_1_and_says_what_was_sent_what_came_and_what_to_do(capsys: Captured) -> None:
    status, nas = run_against(PLANTED["unknown-404"], "--only", "cancel.unknown")
    out, _ = capsys.readouterr()
    assert status == 1
    for said in (
        "FAIL cancel.unknown",
        'contract  cancel: "A job that has none is a success',
        "POST /api/agent-cron/cancel, Bearer (the agent's token)",
        "response  404 application/json",
        "wrong     the status is 404, not 200",
        'do        Answer 200 {"ok": true}',
    ):
        assert said in out
    assert max(map(len, out.splitlines())) <= 80
    assert nas.token not in out


def test_an_interrupt_is_130_and_one_line(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "run", interrupted)
    assert main(["--url", "http://127.0.0.1:1", "--token", "x"]) == 130
    assert capsys.readouterr() == ("", "nas-conformance: interrupted\n")


def test_the_steps_of_a_story_are_told_and_few(capsys: Captured) -> None:
    run_against(PLANTED["remembers-replaced"], "--only", "model.story", "--seed", "7")
    out, _ = capsys.readouterr()
    steps = [line for line in out.splitlines() if " provision conf-" in line]
    assert len(steps) == 3
    assert "steps" in steps[0]


def _stale_list() -> Bug:
    """Lists for ever what it listed first; nothing else is wrong."""
    first: list[Any] = []

    def change(request: web.Request, status: int, body: Any) -> web.Response | None:
        if not request.path.endswith("/list") or status != 200:
            return None
        first.append(body)
        return web.json_response(first[0])

    return Bug("stale-list", "a list out of a cache", "shape.list", change=answering(change))


def _unsigned(request: web.Request, status: int, body: Any) -> web.Response | None:
    return web.json_response({"ok": True}) if status == 401 else None


def test_only_what_is_wrong_is_blamed_and_what_rests_on_it_is_left_open(
    capsys: Captured,
) -> None:
    status, _ = run_against(_stale_list(), "--examples", "3", "--json")
    checks = json.loads(capsys.readouterr().out)["checks"]
    failed = [each["name"] for each in checks if each["outcome"] == "failed"]
    reasons = {each["name"]: each.get("reason") for each in checks}
    assert (status, failed) == (1, ["shape.list"])
    for name in ("auth.no-effect", "request.no-effect", "model.story", "arm.replace"):
        assert reasons[name] == "rests on shape.list, which failed"


def test_what_does_not_rest_on_a_failure_is_blamed_beside_it(capsys: Captured) -> None:
    stale = _stale_list()

    def both(nas: Any) -> None:
        stale.change(nas)
        answering(_unsigned)(nas)

    run_against(Bug("both", "a stale list, and no authentication", "", change=both), "--json")
    checks = json.loads(capsys.readouterr().out)["checks"]
    failed = [each["name"] for each in checks if each["outcome"] == "failed"]
    assert {"shape.list", "auth.missing", "auth.garbage"} <= set(failed)


def test_the_same_failure_again_is_told_once(capsys: Captured) -> None:
    run_against(PLANTED["bare-list"], "--only", "arm.same-key", "--only", "arm.far")
    out, _ = capsys.readouterr()
    assert out.count("  wrong     the body is not a JSON object\n") == 1
    assert "  also      arm.far\n" in out


def _echo(request: web.Request, status: int, body: Any) -> web.Response | None:
    said = f"unknown: {request.headers['Authorization']}"
    return web.json_response({"error": said}, status=403) if status == 401 else None


ECHO = Bug("echo", "403 and the token in it", "auth.expired", change=answering(_echo))


@pytest.mark.parametrize("letters", [16, 150, 700])  # on one line, on several, cut off at the end
def test_tokens_that_a_nas_repeats_are_hidden(
    letters: int, capsys: Captured, tmp_path: Path
) -> None:
    old, file = f"old-{'Ab0' * letters}"[:letters], tmp_path / "report.xml"
    options = ["--only", "auth.expired", "--expired-token", old, "--junit", str(file)]
    for form in ([], ["--json"]):
        status, _ = run_against(ECHO, *options, *form)
        out, _ = capsys.readouterr()
        assert status == 1
        assert "unknown: Bearer [token]" in out
        assert "Ab0Ab0" not in out + file.read_text()


def test_json_is_for_scripts(capsys: Captured) -> None:
    status, _ = run_against(PLANTED["unknown-404"], "--only", "cancel.*", "--json")
    report = json.loads(capsys.readouterr().out)
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert status == 1
    assert report["ok"] is False
    assert outcomes == {
        "cancel.armed": "passed",
        "cancel.unknown": "failed",
        "cancel.then-arm": "passed",
    }
    failure = next(check for check in report["checks"] if check["outcome"] == "failed")
    assert failure["response"].startswith("404 application/json")


def outcomes(suite: ElementTree.Element) -> dict[str | None, list[tuple[str, str | None]]]:
    """By check, what JUnit XML says of it; nothing of one that passed."""
    return {case.get("name"): [(each.tag, each.get("message")) for each in case] for case in suite}


def test_junit_is_for_ci(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "report.xml"
    run_against(
        PLANTED["unknown-404"], "--only", "cancel.*", "--only", "auth.expired", "--junit", str(file)
    )
    suite = ElementTree.parse(file).getroot()
    counts = {name: suite.get(name) for name in ("tests", "failures", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "skipped": "1"}
    assert outcomes(suite) == {
        "armed": [],
        "unknown": [("failure", "the status is 404, not 200")],
        "then-arm": [],
        "expired": [("skipped", "needs --expired-token")],
    }


def test_what_a_check_needs_is_said(capsys: Captured) -> None:
    status, _ = run_against(None, "--only", "isolation.*", "--only", "fire.audience")
    out, _ = capsys.readouterr()
    assert status == 0
    assert out.count("needs --second-token") == 3
    assert "needs --receive and --second-token" in out


def test_everything_armed_is_cancelled_and_what_cannot_be_is_named(capsys: Captured) -> None:
    status, _ = run_against(PLANTED["cancels-nothing"], "--only", "arm.same-key")
    out, _ = capsys.readouterr()
    assert status == 0
    assert "left armed, because the cancel failed: conf-" in out
    status, _ = run_against(PLANTED["unknown-404"], "--only", "cancel.armed")
    assert "left armed" not in capsys.readouterr().out


def test_scripts_are_told_what_is_left_armed(capsys: Captured) -> None:
    run_against(PLANTED["cancels-nothing"], "--only", "arm.same-key", "--json")
    [left] = json.loads(capsys.readouterr().out)["left_behind"]
    assert left.startswith("conf-")


class KeepsWhatTheSecondArmed(MemoryStore):
    """Cancels nothing of the second agent."""

    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        if agent != "two":
            await super().cancel(agent, job_id, now)


def test_what_the_second_agent_has_left_armed_is_named_too(capsys: Captured) -> None:
    with nas_in_thread(KeepsWhatTheSecondArmed()) as nas:
        options = ["--token", nas.token, "--second-token", nas.second, "--only", "isolation.arm"]
        main(["--url", nas.url, *options, "--json"])
    [left] = json.loads(capsys.readouterr().out)["left_behind"]
    assert left.endswith("-both")


def test_a_check_that_itself_fails_is_no_success(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def crash(context: Context) -> None:
        raise ZeroDivisionError("of its own")

    [check] = suite.choose(["cancel.unknown"])
    monkeypatch.setattr(suite, "CHECKS", [attrs.evolve(check, run=crash)])
    file = tmp_path / "report.xml"
    assert run_against(None, "--json", "--junit", str(file))[0] == 1
    [told] = json.loads(capsys.readouterr().out)["checks"]
    assert (told["outcome"], told["reason"]) == (
        "not run",
        "the kit failed: ZeroDivisionError: of its own",
    )
    junit = ElementTree.parse(file).getroot()
    assert junit.get("failures") == "1"
    assert outcomes(junit) == {"unknown": [("failure", told["reason"])]}


GIVEN: dict[str, tuple[str | None, dict[str, Any]]] = {
    "--url": ("https://nas.example/", {"base_url": "https://nas.example"}),
    "--token": ("one", {"token": "one"}),
    "--second-token": ("two", {"second": "two"}),
    "--expired-token": ("old", {"expired": "old"}),
    "--unprovisioned-token": ("none", {"unprovisioned": "none"}),
    "--allow-http": (None, {}),
    "--receive": (None, {"receive": True}),
    "--receive-port": ("8081", {"receive_port": 8081}),
    "--callback-url": ("https://here.example", {"callback_url": "https://here.example"}),
    "--jwks": ("https://nas.example/keys", {"jwks": "https://nas.example/keys"}),
    "--issuer": ("https://iss.example", {"issuer": "https://iss.example"}),
    "--audience": ("agent:7", {"audience": "agent:7"}),
    "--examples": ("5", {"examples": 5}),
    "--seed": ("9", {"seed": 9}),
    "--deadline": ("12", {"deadline": 12.0}),
    "--patience": ("7", {"patience": Patience(most=7.0)}),
    "--clock-skew": ("3", {"patience": Patience(skew=3.0)}),
}
"""Every option about the run, what may be given for it, and what the run then has."""
ABOUT_THE_COMMAND = {"--help", "--version", "--only", "--list", "--json", "--junit"}


@pytest.mark.parametrize("flag", GIVEN)
def test_each_option_reaches_the_run(flag: str) -> None:
    said, wanted = GIVEN[flag]
    usual = ["--url", "https://else.example", "--token", "t", "--callback-url", "https://a.example"]
    given = _given(_parser().parse_args([*usual, flag, *([said] if said else [])]))
    assert {name: getattr(given, name) for name in wanted} == wanted


def test_no_option_is_left_out_of_that(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    named = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out.partition("Tokens may")[0]))
    assert named == GIVEN.keys() | ABOUT_THE_COMMAND


@pytest.mark.parametrize("status", [201, 500, 0])
def test_what_was_armed_and_answered_otherwise_is_cancelled_too(status: int) -> None:
    def change(request: web.Request, was: int, body: Any) -> web.Response | None:
        if was != 200 or not request.path.endswith("/provision"):
            return None
        if not status:  # hangs up
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body, status=status or 200)

    store = MemoryStore()
    bug = Bug("otherwise", "another status", "", lambda: store, answering(change))
    assert run_against(bug, "--only", "shape.provision")[0] == 1
    assert asyncio.run(store.armed("one")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "the body is nested too deeply"),
        ('{"schedule_id": NaN}', "the body is not JSON: it has no NaN"),
        ('{"ok": true, "ok": true}', "the body has a member twice"),
        ("9" * 5_000, "the body is not JSON"),
        ("", "the body is not JSON"),
    ],
)
def test_no_answer_of_a_nas_is_taken_for_a_failure_of_the_kit(
    text: str, said: str, capsys: Captured
) -> None:
    def change(request: web.Request, status: int, body: Any) -> web.Response | None:
        return web.Response(text=text, status=status, content_type="application/json")

    bug = Bug("odd", "an odd body", "", change=answering(change))
    assert run_against(bug, "--only", "shape.*", "--only", "arm.far")[0] == 1
    out, err = capsys.readouterr()
    assert (said in out, "the kit failed" in out, err) == (True, False, "")


@pytest.mark.parametrize("asked", ["\u00b2", "-1", "1e400", "soon", "nan"])
def test_any_retry_after_of_a_429_is_borne(asked: str, capsys: Captured) -> None:
    refused: list[str] = []

    def change(request: web.Request, status: int, body: Any) -> web.Response | None:
        if refused or not request.path.endswith("/provision"):
            return None
        refused.append(asked)
        return web.json_response({"error": "x"}, status=429, headers={"Retry-After": asked})

    bug = Bug("busy", "a 429", "", change=answering(change))
    assert run_against(bug, "--only", "shape.provision")[0] == 0
    assert (refused, "1 passed, 0 failed" in capsys.readouterr().out) == ([asked], True)


@pytest.mark.parametrize("buffering", [1, -1])
def test_a_reader_that_has_gone_is_141_and_no_traceback(
    buffering: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["--list"]) == 141
        stdout.write("what is written after it is lost")
    assert capsys.readouterr().err == ""


def test_list_names_every_check(capsys: Captured) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [check.name for check in CHECKS]


def test_the_deadline_ends_a_run(capsys: Captured) -> None:
    status, _ = run_against(None, "--only", "cancel.*", "--deadline", "0.000001")
    out, _ = capsys.readouterr()
    assert status == 1
    assert out.count("the deadline had passed") == 3


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--url: no base URL: pass base_url, or set NAS_BASE_URL"),
        (["--url", "http://127.0.0.1:1"], "no token: pass --token, or set NAS_TOKEN"),
        (["--url", "nas.example"], "--url: an absolute https URL is needed"),
        (["--url", "http://nas.example", "--token", "t"], "--url: plain http"),
        (["--url", "https://nas.example", "--token", "t", "--receive"], "say --callback-url"),
        (["--url", "https://nas.example", "--callback-url", "x"], "--callback-url: 'x' is not"),
        *(
            (["--url", "https://nas.example", "--token", "t", "--jwks", bad], "--jwks: ")
            for bad in ("http://[", "ftp://nas.example/keys", "/keys", "https://")
        ),
        (["--only", "nothing.*"], "no check is named nothing.*; --list shows them all"),
    ],
)
def test_what_cannot_work_is_2_and_one_line(
    options: list[str], said: str, capsys: Captured
) -> None:
    assert main(options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("nas-conformance: ")
    assert said in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--deadline", "soon"], "argument --deadline: 'soon' is not a number of seconds above 0"),
        (["--examples", "0"], "argument --examples: '0' is not a number above 0"),
        *(
            (["--clock-skew", bad], "is not a number of seconds, 0 or more")
            for bad in ("-0.1", "nan", "inf", "some")
        ),
        (["--colour"], "unknown option --colour;"),
    ],
)
def test_bad_options_are_2_and_one_line(options: list[str], said: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(options)
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("bad", ["secret\r", "sec ret", "secr\u00e9t"])
@pytest.mark.parametrize("flag", ["--token", "--expired-token"])
def test_a_token_that_no_request_can_carry_is_2_and_not_shown(
    flag: str, bad: str, capsys: Captured
) -> None:
    assert main(["--url", "http://127.0.0.1:1", "--token", "good", flag, bad]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"nas-conformance: {flag}: visible ASCII is needed, with no space or line end\n"


@pytest.mark.parametrize("flag", ["--token", "--second-token", "--expired-token"])
@pytest.mark.parametrize(
    "wrong", ["-{flag}={it}", "{flag}s={it}", "{flag}s {it}", "{flag} x {it}", "-t{it}", "-t {it}"]
)
def test_a_token_in_a_mistaken_command_line_is_not_repeated(
    flag: str, wrong: str, capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--url", "http://127.0.0.1:9", *wrong.format(flag=flag, it="Canary").split()])
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "Canary" not in said.err


def test_nobody_there_is_2(capsys: Captured) -> None:
    url = f"http://127.0.0.1:{_closed_port()}"
    assert main(["--url", url, "--token", "t"]) == 2
    assert "no answer to GET /api/agent-cron/list" in capsys.readouterr().err


def test_a_port_that_cannot_be_listened_on_is_2(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port, why in ((taken.getsockname()[1], "Address already in use"), (70_000, "no such")):
            status, _ = run_against(None, "--receive", "--receive-port", str(port))
            out, err = capsys.readouterr()
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert f"cannot receive on port {port}: " in err
            assert why in err


def test_a_token_that_is_no_good_is_2(capsys: Captured) -> None:
    with nas_in_thread() as nas:
        assert main(["--url", nas.url, "--token", "garbage"]) == 2
        assert main(["--url", nas.url, "--token", nas.unprovisioned]) == 2
        assert main(["--url", f"{nas.url}/elsewhere", "--token", nas.token]) == 2
    err = capsys.readouterr().err
    assert "the NAS answers 401 to --token" in err
    assert "the NAS answers 403 to --token" in err
    assert "is answered 404: give the base URL" in err


def test_the_client_side_never_imports_the_kit() -> None:
    code = """
import sys
import nas_sdk, nas_sdk.client, nas_sdk.webhooks, nas_sdk.testing
heavy = {"hypothesis", "schemathesis", "jsonschema_rs", "nas_conformance"}
print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
