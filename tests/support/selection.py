"""A pytest plugin: which tests run, and in which order.

--fast           leaves out what needs hermes, a NATS cluster or a browser, or takes long
--shuffle SEED   puts the files, and the tests of each, into another order
"""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

_FIXTURES = {
    "hermes": {"with_hook", "stage"},
    "a cluster": {"nats_one", "nats_three"},
    "a browser": {"browser", "viewer"},
}
_NAMES = {
    "hermes": {"HermesEnvironment", "cached_environment"},
    "a cluster": {"NatsCluster", "nats_cluster"},
    "a browser": {"Viewer"},
}
"""By what a test asks for, and what its module imports, it is known what it needs."""
_LONG = (
    "benchmarks",
    "conformance/test_planted",
    "conformance/test_reference",
    "contract/test_changing_the_contract",
    "contract/test_regen",
    "contract/test_walk",
    "docs/test_search",
    "docs/test_site",
    "package",
    "planted",
    "sdk/transport/test_interrupted",
    "server/cli",
    "server/test_kill",
    "simulation",
    "tools/test_bootstrap",
    "tools/test_mutants",
    "tools/test_release",
    "tools/test_stopping",
    "typed",
)
_LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """See the module."""
    group = parser.getgroup("selection")
    group.addoption("--fast", action="store_true", help="leave out what needs much or takes long")
    group.addoption("--shuffle", metavar="SEED", help="run files and tests in another order")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Pick and order."""
    if config.getoption("--fast"):
        why = {item: _why_not(item) for item in items}
        config.stash[_LEFT_OUT] = Counter(reason for reason in why.values() if reason)
        config.hook.pytest_deselected(items=[item for item in items if why[item]])
        items[:] = [item for item in items if not why[item]]
    if seed := config.getoption("--shuffle"):
        _shuffle(items, random.Random(seed))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have the process that reports know what this one left out, where tests run in several."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(session.config.stash.get(_LEFT_OUT, {}))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what one of them told; all of them left out the same."""
    if left := getattr(node, "workeroutput", {}).get("left_out"):
        node.config.stash[_LEFT_OUT] = Counter(left)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was left out."""
    if left := config.stash.get(_LEFT_OUT, None):
        told = ", ".join(f"{count} {reason}" for reason, count in left.most_common())
        terminalreporter.write_line(f"left out by --fast: {told}")


def _why_not(item: pytest.Item) -> str:
    """Why a test is no part of the fast ones; empty for one that is."""
    if any(f"/tests/{place}" in item.path.as_posix() for place in _LONG):
        return "take long"
    asked = set(_asked(item))
    imported = set(vars(getattr(item, "module", None) or object))
    for need, fixtures in _FIXTURES.items():
        if asked & fixtures or imported & _NAMES[need]:
            return f"need {need}"
    return ""


def _asked(item: pytest.Item) -> Iterator[str]:
    """The names of a test's fixtures, and of those that its parameters stand for."""
    yield from getattr(item, "fixturenames", ())
    for value in getattr(getattr(item, "callspec", None), "params", {}).values():
        if isinstance(value, str):
            yield value


def _shuffle(items: list[pytest.Item], chance: random.Random) -> None:
    """The tests of a file stay together, as they may share what is slow to make."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(str(item.path), []).append(item)
    groups = list(files.values())
    chance.shuffle(groups)
    for group in groups:
        chance.shuffle(group)
    items[:] = [item for group in groups for item in group]
