"""`scripts/test --repeat`, and the order and choice of the tests."""

from pathlib import Path

import pytest

from tests.support import selection
from tests.support.hermes_env import VERSIONS
from tools import rounds
from tools.bootstrap import ROOT

# Fails in its second round, whatever the order.
FLAKY = """
from pathlib import Path

def test_flaky():
    log = Path(__file__).with_suffix(".rounds")
    with log.open("a") as file:
        file.write("x")
    assert log.read_text() != "xx"

def test_sound():
    pass
"""
NEEDY = """
import pytest

@pytest.fixture(params=["memory", "nats_one"])
def store(request):
    return request.param

@pytest.fixture
def with_hook():
    return None

def test_of_a_store(store): ...
def test_of_hermes(with_hook): ...
def test_of_nothing(): ...
"""


def test_a_test_that_fails_by_chance_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    test = tmp_path / "test_by_chance.py"
    test.write_text(FLAKY)
    assert rounds.repeat(2, ["-n", "0", "-p", "no:cacheprovider", f"--rootdir={ROOT}", str(test)])
    said = capfd.readouterr().out
    assert "test_flaky failed in 1 of 2" in said
    assert "test_sound failed" not in said


SAMPLED = """
import pytest
from tests.support.hermes_env import VERSIONS

@pytest.mark.sampled
@pytest.mark.parametrize("other", range(8))
@pytest.mark.parametrize("version", VERSIONS)
def test_sampled(version, other): ...

@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS[:3])
def test_picked(version): ...

@pytest.mark.parametrize("version", VERSIONS)
def test_of_all(version): ...
"""


def collected(pytester: pytest.Pytester, *options: str, source: str = NEEDY) -> list[str]:
    pytester.makepyfile(test_needy=source)
    asked = ["--co", "-q", "-p", "no:asyncio", "-p", "tests.support.selection", *options]
    return pytester.runpytest_inprocess(*asked).outlines


def test_fast_leaves_out_what_needs_more_and_says_so(pytester: pytest.Pytester) -> None:
    said = collected(pytester, "--fast")
    assert [line.rpartition("::")[2] for line in said if "::" in line] == [
        "test_of_a_store[memory]",
        "test_of_nothing",
    ]
    assert "left out: 1 need a cluster, 1 need hermes" in said


def test_of_every_release_two_are_sampled_and_all_are_met(pytester: pytest.Pytester) -> None:
    said = collected(pytester, source=SAMPLED)
    names = [line.rpartition("::")[2] for line in said if "::" in line]
    for other in range(8):
        assert sum(name.endswith(f"-{other}]") for name in names) == 2
    for version in VERSIONS:
        assert any(name.startswith(f"test_sampled[{version}-") for name in names)
    assert sum(name.startswith("test_picked") for name in names) == 3
    assert sum(name.startswith("test_of_all") for name in names) == 5
    assert "left out: 24 on other releases; --every-release runs those" in said
    assert names == [
        line.rpartition("::")[2] for line in collected(pytester, source=SAMPLED) if "::" in line
    ]
    every = collected(pytester, "--every-release", source=SAMPLED)
    assert sum("::test_sampled" in line for line in every) == 40


def test_another_order_is_the_same_for_the_same_seed(pytester: pytest.Pytester) -> None:
    def order(*options: str) -> list[str]:
        return [line for line in collected(pytester, *options) if "::" in line]

    shuffled = order("--shuffle", "9")
    assert shuffled == order("--shuffle", "9")
    assert shuffled != order()
    assert sorted(shuffled) == sorted(order())


LONG = """
import pytest

@pytest.mark.parametrize("number", range(5))
def test_short(number): ...

@pytest.mark.parametrize("number", range(4))
def test_long(number): ...
"""


def test_every_process_begins_with_its_share_of_the_longest(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "LONGEST", ("test_long[3]", "test_long"))
    pytester.makepyfile(test_lengths=LONG)
    items, _ = pytester.inline_genitems("-p", "no:asyncio")
    dealt = [item.name for item in selection.dealt(items, 2)]
    first, second = dealt[:4], dealt[4:]
    assert first[:2] == ["test_long[3]", "test_long[1]"]
    assert second[:2] == ["test_long[0]", "test_long[2]"]
    assert sorted(dealt) == sorted(item.name for item in items)


def test_what_is_said_to_take_longest_is_there() -> None:
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")]
    for name in selection.LONGEST:
        place, _, test = name.partition("::")
        assert any(place in file and test in (ROOT / file).read_text("utf-8") for file in files)
