"""`chronos reconcile` and `chronos disarm`."""

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest

from chronos_plugin import store_marks
from chronos_plugin.cli import check_hermes, check_nas, doctor, hermes_env, main
from chronos_plugin.cli.check_arms import arms
from chronos_plugin.cli.check_nas import fire
from chronos_plugin.cli.findings import Finding, skipped
from chronos_plugin.cli.formatting import moment
from chronos_plugin.cli.status_report import PROBE
from chronos_plugin.plugin_runtime import PluginRuntime
from chronos_plugin.serving_status import ServingStatus
from chronos_plugin.store import Store
from nas_sdk import NasClient, NasConnectionError
from nas_sdk.reconcile.desired import WATCHDOG
from tests.chronos.conftest import World
from tests.support.fake_hermes import HOME

OTHER = Path("/agent/home/profiles/other")


@pytest.fixture(autouse=True)
def process(world: World, monkeypatch: pytest.MonkeyPatch) -> PluginRuntime:
    process = world.boot()
    monkeypatch.setattr(hermes_env, "PLUGIN", process)
    monkeypatch.setattr(hermes_env, "require", lambda: None)  # that one stands for hermes
    return process


def test_reconcile_says_how_many_are_armed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    assert main(["reconcile"]) == 0
    assert "1 job of /agent/home armed as wanted" in capsys.readouterr().out
    assert set(world.armed()) == {"j1"}


def test_reconcile_arms_nothing_for_another_provider(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.hermes.config["active"] = False
    assert main(["reconcile"]) == 1
    assert "cron.provider is not chronos" in capsys.readouterr().err
    assert not world.armed()


def test_reconcile_leaves_both_watchdogs(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    before = world.armed()
    assert len(before) == 3
    assert main(["reconcile"]) == 0
    assert world.armed() == before


def test_reconcile_is_patient(world: World) -> None:
    world.hermes.add("j1", 3600)
    world.nas.fail_next(delay=10.0)
    assert main(["reconcile"]) == 0


def test_reconcile_that_fails_says_why(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.hermes.add("j1", 60)
    world.nas.fail_next(503, times=1000)
    assert main(["reconcile"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("chronos reconcile: not everything is armed: list_armed: NAS answered")
    assert said.count("\n") == 1


def test_doctor_tells_what_nobody_foresaw_as_a_finding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("of hermes's own")

    monkeypatch.setattr(doctor, "examine", broken)
    assert main(["doctor", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding["state"] == "problem"
    assert "ZeroDivisionError: of hermes's own" in finding["reason"]


@pytest.mark.usefixtures("world")
def test_what_nobody_foresaw_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("of hermes's own")

    monkeypatch.setattr("chronos_plugin.cli.commands.reconcile", broken)
    assert main(["reconcile"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("chronos reconcile: went wrong: ZeroDivisionError: of hermes's own; ")
    assert said.count("\n") == 1


def test_a_fire_time_that_cannot_be_read_is_told_of(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.hermes.add("j2", 60, next_run_at="tomorrow")
    assert main(["reconcile"]) == 1
    assert "not everything is armed: when job j2 fires cannot be read" in capsys.readouterr().err
    assert set(world.armed()) == {"j1"}


def test_reconcile_of_a_store_that_cannot_be_read_ends_at_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    assert main(["reconcile"]) == 0
    begun = world.runtime.time()
    for jobs in ((), tuple(world.hermes.store(world.hermes.at).jobs)):
        world.hermes.broken[world.hermes.at] = Store(jobs, problem="it is not JSON")
        assert main(["reconcile"]) == 1
        assert capsys.readouterr().err == "chronos reconcile: it is not JSON\n"
    assert world.runtime.time() == begun
    assert set(world.armed()) == {"j1"}


def test_after_disarm_it_is_known_that_nothing_is_armed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    world.hermes.config = {"active": False}
    assert main(["disarm"]) == 0
    capsys.readouterr()
    main(["status"])
    _, row = capsys.readouterr().out.splitlines()
    assert row.split()[:2] == ["j1", "j1"]
    assert " no " in row
    assert "?" not in row.partition("min")[2]


@pytest.mark.parametrize("number", range(4))
def test_every_number_is_told_in_good_english(
    number: int, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in range(number):
        world.hermes.add(f"j{each}", 3600)
    main(["reconcile"])
    world.nas.arm("0", "2026-01-02T00:00:00Z")
    told = list(arms(hermes_env.onlooker(), list(world.nas.armed().values()), active=True))
    doctor.report(told, as_json=False)
    world.nas.fail_next(503, operation="cancel", times=1000)
    main(["disarm"])
    said = "".join(capsys.readouterr())
    noun = r"(job|one-shot|key|problem|warning|change)"
    assert not re.search(rf"\b1 {noun}s\b", said), said
    assert not re.search(rf"\b(0|[2-9]|\d\d+) {noun}\b", said), said
    assert re.search(rf"\b{number} jobs?\b", said) or number == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("command", ["reconcile", "status", "disarm", "doctor", "install", "tail"])
def test_any_terminal_will_do(
    command: str, encoding: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "Übersicht – 日本 “…” → \udc80"
    world.hermes.add("j1", 60, name=name)
    monkeypatch.setattr(hermes_env, "onlooker", hermes_env.reconciler)
    monkeypatch.setenv("PATH", f"/nowhere-{name[:20]}")
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, encoding=encoding)  # strict, as Python makes it
    with redirect_stdout(terminal), redirect_stderr(terminal):
        status = main([command])
        terminal.flush()
    said = written.getvalue().decode(encoding)
    assert "Unicode" not in said
    assert said
    assert status in (0, 1)


def test_a_terminal_is_shown_how_far_it_is_with_many(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        world.hermes.add(f"j{number}", 60 + number)
    for is_terminal, said in ((False, ""), (True, "40 of 40\n")):
        monkeypatch.setattr("sys.stderr.isatty", lambda shown=is_terminal: shown)
        for command in ("reconcile", "disarm"):
            assert main([command]) == 0
            assert capsys.readouterr().err[-len("40 of 40\n") :] == said


def test_disarm_cancels_this_home_s_and_leaves_the_others(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.stores[OTHER] = {}
    world.hermes.add("mine", 60)
    world.hermes.add("theirs", 60, home=OTHER)
    world.boot().request_reconcile()
    world.runtime.sleep(5)
    assert len(world.armed()) == 6  # two watchdogs each
    world.nas.arm("orphan", "2026-01-02T00:00:00Z")
    assert main(["disarm"]) == 0
    said = capsys.readouterr().out
    assert "cancelled 4 one-shots of /agent/home" in said
    assert "still chronos" in said
    left = set(world.armed())
    assert len(left) == 3
    assert "theirs" in left
    assert "mine" not in left


def test_after_disarm_a_store_that_is_not_there_is_not_lost(world: World, tmp_path: Path) -> None:
    (tmp_path / "cron").mkdir()
    world.hermes.stores[tmp_path] = {}
    world.hermes.at = tmp_path
    store_marks.store_seen(tmp_path)
    assert main(["disarm"]) == 0
    assert not store_marks.was_store_seen(tmp_path)


def test_disarm_of_a_home_that_has_switched_away(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    world.hermes.config = {"active": False}
    assert main(["disarm"]) == 0
    assert "still chronos" not in capsys.readouterr().out
    assert world.armed() == {}


def test_a_test_fire_that_was_left_is_disarmed(world: World) -> None:
    world.nas.arm(f"{PROBE}1234", "2026-01-02T00:00:00Z")
    world.nas.arm(f"{WATCHDOG}of-another", "2026-01-02T00:00:00Z")
    assert main(["disarm"]) == 0
    assert set(world.armed()) == {f"{WATCHDOG}of-another"}


def test_doctor_and_disarm_agree_about_a_home_that_has_switched_away(world: World) -> None:
    world.hermes.config = {"active": False}
    world.hermes.stores[OTHER] = {}
    world.hermes.add("theirs", 60, home=OTHER)
    world.nas.arm("theirs", "2026-01-02T00:00:00Z")
    assert [each.state for each in switched_away(world)] == ["ok"]
    world.nas.arm("orphan", "2026-01-02T00:00:00Z")
    world.nas.arm(hermes_env.reconciler().watchdog_id, "2026-01-02T00:00:00Z")
    [found] = switched_away(world)
    assert (found.state, found.reason[:2]) == ("warning", "2 ")
    assert main(["disarm"]) == 0
    assert [each.state for each in switched_away(world)] == ["ok"]


def switched_away(world: World) -> list[Finding]:
    armed = list(world.nas.armed().values())
    return list(arms(hermes_env.onlooker(), armed, active=False))


def test_doctor_says_why_a_store_may_not_name_all_jobs(world: World) -> None:
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    jobs = world.hermes.store(HOME).jobs
    world.hermes.broken[HOME] = Store(jobs, "1 of 2 jobs in the store cannot be read")
    found = list(arms(hermes_env.onlooker(), list(world.nas.armed().values()), active=True))
    assert [(each.state, each.reason) for each in found if each.check == "store"] == [
        ("problem", "1 of 2 jobs in the store cannot be read")
    ]


@pytest.mark.parametrize(
    ("number", "rest"), [(1, ""), (3, ""), (4, " and 1 more"), (7, " and 4 more")]
)
def test_doctor_names_three_jobs_and_counts_the_rest(world: World, number: int, rest: str) -> None:
    for each in range(number):
        world.hermes.add(f"j{each}", 3600)
    [found] = [
        each.reason for each in arms(hermes_env.onlooker(), [], active=True) if each.check == "arms"
    ]
    named = ", ".join(f"j{each} (j{each}), due in 60 min" for each in range(min(number, 3)))
    assert found.partition(": ")[2] == named + rest


@pytest.mark.parametrize("wrong", ["inactive", "paused", "sidelined", "damaged", "unanswered"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_status_is_1_for_whatever_is_wrong_though_no_job_has_a_problem(
    world: World, wrong: str, form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", *form]) == 0
    if wrong == "inactive":
        world.hermes.config = {"active": False}
    elif wrong == "damaged":
        world.hermes.broken[HOME] = Store((), "the job store has raw control characters in it")
    elif wrong == "unanswered":
        world.nas.fail_next(503, times=100)
    elif wrong == "paused":
        world.hermes.paused = True
    else:
        world.hermes.told_sidelined = "one gateway serves every profile"
    assert main(["status", *form]) == 1


def test_status_of_a_job_that_fired(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cron").mkdir()
    world.hermes.stores[tmp_path] = {}
    world.hermes.at = tmp_path
    world.hermes.add("j1", 7_205, name="digest", schedule_display="daily")
    world.boot().request_reconcile()
    world.runtime.sleep(5)
    now = world.runtime.time()
    status_folder = store_marks.status_folder(tmp_path)
    ServingStatus(status_folder).fired("j1", due=now - 100, at=now - 39.75)
    assert main(["status", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert job == {
        "job_id": "j1",
        "name": "digest",
        "schedule": "daily",
        "next_run": now + 7_200,
        "armed": now + 7_200,
        "last_fire": now - 39.75,
        "lateness": 60.25,
        "problem": None,
        "why": None,
    }
    assert main(["status"]) == 0
    _, line, *_ = capsys.readouterr().out.splitlines()
    assert re.split(r"  +", line) == [
        "digest",
        "j1",
        "daily",
        moment(now + 7_200, now),
        "yes",
        "40 s ago",
        "60 s",
        "-",
    ]


def test_tail_goes_back_to_the_log_before(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.stores[tmp_path] = {}
    world.hermes.at = tmp_path
    (tmp_path / "logs").mkdir()
    for name, said in (("agent.log.1", "one"), ("agent.log", "two")):
        (tmp_path / "logs" / name).write_text(f"2026-01-01 00:00:00 INFO cron.chronos - {said}\n")
    for lines, told in ((2, ["one", "two"]), (1, ["two"]), (0, [])):
        assert main(["tail", "--no-follow", "-n", str(lines)]) == 0
        assert [each.split()[-1] for each in capsys.readouterr().out.splitlines()] == told


def test_tail_shows_what_the_provider_and_the_sdk_below_it_say(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.stores[tmp_path] = {}
    world.hermes.at = tmp_path
    ours = ["cron.chronos - one", "nas_sdk - two", "nas_sdk.webhooks: three", "cron.chronos: four"]
    others = ["cron.scheduler - five", "agent: nas_sdk is installed", "cron.chronos_too - six"]
    lines = [f"2026-01-01 00:00:00,000 INFO {said}" for said in (*ours, *others)]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "agent.log").write_text("\n".join(lines) + "\n")
    assert main(["tail", "--no-follow"]) == 0
    assert capsys.readouterr().out.splitlines() == lines[: len(ours)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NasConnectionError("no answer")])
def test_a_test_fire_is_cancelled_whatever_comes_between(
    world: World, tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(client: NasClient) -> None:
        assert [job_id.startswith(PROBE) for job_id in world.armed()] == [True]
        raise error

    monkeypatch.setattr(NasClient, "list_armed", interrupted)
    with suppress(KeyboardInterrupt):
        fire(hermes_env.reconciler().client(), world.hermes.settings(), [tmp_path / "agent.log"])
    assert world.armed() == {}


def test_doctor_compares_the_store_with_what_is_armed_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.hermes.add("j1", 60)
    world.provider().reconcile()

    def meanwhile(settings: object) -> Finding:
        world.hermes.change("j1", next_run_at="2026-01-01T05:00:00+00:00")
        world.provider().reconcile()
        return skipped("callback", "j1 has fired, and is armed for its next run")

    def nothing(*args: object, **options: object) -> list[Finding]:
        return []

    for name in ("hermes", "running"):
        monkeypatch.setattr(check_hermes, name, nothing)
    monkeypatch.setattr(doctor, "config", nothing)
    monkeypatch.setattr(doctor, "login", nothing)
    monkeypatch.setattr(doctor, "is_complete", lambda: True)
    monkeypatch.setattr(hermes_env, "login", lambda: {"there": True})
    monkeypatch.setattr(check_nas, "keys", lambda settings: skipped("keys", "not here"))
    monkeypatch.setattr(check_nas, "callback", meanwhile)
    found = {each.check: each for each in doctor.examine(fire=False)}
    assert (found["nas"].state, found["arms"].state) == ("ok", "ok")


def test_disarm_that_fails_says_why(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    world.nas.fail_next(503, operation="cancel", times=1000)
    assert main(["disarm"]) == 1
    assert "1 one-shot still armed: cancel: NAS answered 503" in capsys.readouterr().err


PRINTS = """
import sys
from chronos_plugin.cli import hermes_env, main, tail
hermes_env.require = lambda: None
tail.tail = lambda _: print("a line of the log", flush=True)
sys.exit(main(["tail"]))
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [["-m", "chronos_plugin.cli", "doctor"], ["-c", PRINTS]])
def test_a_reader_that_has_gone_is_no_traceback(command: list[str], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PATH": os.defpath, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        [sys.executable, *command],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_home_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HERMES_HOME", raising=False)
    assert main(["disarm", "--home", str(tmp_path)]) == 1  # a typing error makes no new home
    (tmp_path / "config.yaml").touch()
    assert main(["disarm", "--home", str(tmp_path)]) == 0
    assert os.environ.pop("HERMES_HOME") == str(tmp_path)
