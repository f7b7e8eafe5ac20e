"""The benchmark runs and tells what it counted. No verdict here depends on a time."""

from __future__ import annotations

import json
import re
import tempfile
from typing import Any

import pytest

from benchmarks.side_by_side import growth, report
from benchmarks.side_by_side.__main__ import DOCS, main, run
from benchmarks.side_by_side.figures import Line, Metric, Result, Row, Summary
from benchmarks.side_by_side.rows import REQUESTS, TIME, Sizes, tasks
from tests.support.hermes_env import MAIN, HermesEnvironment

TINY = Sizes(both=(1,), ours=(2,), middle=2, large=2, rounds=1, burst=3, calls=3)
ABOUT = {"hermes": MAIN, "python": "3", "cpus": 2, "load": 0.5, "minutes": 1, "date": "2026-01-01"}


def once(value: float) -> Summary:
    return Summary(value, value, value, 1)


def row(jobs: int, bundled: tuple[float, float] | None, ours: tuple[float, float]) -> Row:
    """A cold converge: seconds and requests of both."""
    pairs = zip(bundled or (None, None), ours, (TIME, REQUESTS), strict=True)
    lines = tuple(Line(m, None if b is None else once(b), once(o)) for b, o, m in pairs)
    return Row(f"cold-{jobs}", f"cold converge, {jobs} jobs", jobs, lines, 0.5)


RESULT = Result(
    ABOUT,
    (
        row(1, (0.2, 2), (0.1, 3)),
        row(100, (12.0, 101), (0.3, 102)),
        row(1_000, (210.0, 1_001), (1.2, 1_002)),
        row(10_000, None, (12.0, 10_002)),
    ),
)


@pytest.mark.parametrize("given", [["--quick", "cold-7"], ["cold-7", "--quick"]])
def test_rows_may_be_named_before_and_after_options(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["no-environment", *given])
    assert "no such row: cold-7" in capsys.readouterr().err


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run prints as JSON, with real hermes and few jobs."""
    environment = HermesEnvironment.create(MAIN, tmp_path_factory.mktemp("hermes") / "env")
    environment.install_hook()
    names = ("cold-1", "unchanged", "burst", "token")
    scratch = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        result = run(environment.prefix, TINY, names)
    assert not list(scratch.iterdir())
    assert report.terminal(Result.from_json(result.to_json())) == report.terminal(result)
    shown: dict[str, Any] = json.loads(json.dumps(result.to_json()))
    return shown


def counted(measured: dict[str, Any], name: str, key: str) -> list[float | None]:
    """The median of a metric, of the bundled provider and of ours."""
    (found,) = [each for each in measured["rows"] if each["name"] == name]
    (line,) = [each for each in found["lines"] if each["metric"]["key"] == key]
    return [line[side] and line[side]["median"] for side in ("bundled", "ours")]


def test_both_providers_do_the_work(measured: dict[str, Any]) -> None:
    assert counted(measured, "cold-1", "requests") == [2, 4]  # with two watchdogs
    assert counted(measured, "unchanged", "requests") == [3, 1]
    assert counted(measured, "burst", "fetches")[1] == 1
    assert all(cost and cost > 0 for cost in counted(measured, "token", "RS256"))
    assert set(measured["ratios"]) == {each["name"] for each in measured["rows"]}


def test_every_row_has_a_name_of_its_own() -> None:
    names = [task.name for task in tasks(Sizes())]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("metric", "ours", "met"),
    [
        (Metric("x", "x", at_least=2), 5.0, True),
        (Metric("x", "x", at_least=2), 5.1, False),
        (Metric("x", "x", at_most=3), 3.0, True),
        (Metric("x", "x", at_most=3), 3.1, False),
        (Metric("x", "x"), 3.1, None),
    ],
)
def test_targets(metric: Metric, ours: float, met: bool | None) -> None:
    assert Line(metric, once(10), once(ours)).is_met is met


def test_what_was_not_measured_is_extrapolated() -> None:
    *known, last = growth.points(RESULT, "bundled", "seconds")
    assert [point.value for point in known] == [0.2, 12.0, 210.0]
    assert (last.jobs, last.is_measured) == (10_000, False)
    assert last.value == pytest.approx(0.11 * 10_000 + 0.0001 * 10_000**2)
    assert growth.points(RESULT, "bundled", "requests")[-1].value == 10_001
    assert all(point.is_measured for point in growth.points(RESULT, "ours", "seconds"))


def test_the_documentation_shows_the_figures_that_are_kept() -> None:
    result = Result.from_json(json.loads((DOCS / "benchmark.json").read_text()))
    page = (DOCS / "benchmark.md").read_text()
    assert (DOCS / "benchmark.svg").read_text() == growth.chart(result)
    (table,) = re.findall(r"<!-- figures -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert table == report.page(result)
