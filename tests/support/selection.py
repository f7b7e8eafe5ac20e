"""A pytest plugin: which tests run, and in which order.

--fast           leaves out what needs hermes, a NATS cluster or a browser, or takes long
--every-release  runs tests marked `sampled` on every release of hermes, and not on two of them
--shuffle SEED   puts the files, and the tests of each, into another order

Where tests run in several processes, each begins with its share of the longest, so that none of
them is left when the others have nothing to do any more.
"""

import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.support.hermes_env import VERSIONS

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
LONGEST = (
    "test_hosts.py::test_incident_30",
    "simulation/test_exhaustive",
    "simulation/test_worlds",
    "simulation/test_comparisons",
    "test_profiles.py::test_incident_3",
    "hermes/test_ten_minutes",
    "hermes/test_doctor_fire",
    "tools/test_bootstrap",
    "contract/test_walk",
    "hermes/test_matrix",
    "incidents/",
    "hermes/",
    "benchmarks/",
    "tools/",
    "server/test_kill",
    "page/test_browser",
    "page/test_approve_browser",
)
"""What the tests are called that take longest, most of it waiting; the longest first."""
_NEED = "need "
_SAMPLED = "on other releases"
_NEEDS_CLUSTER = _NEED + "a cluster"
_LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """See the module."""
    group = parser.getgroup("selection")
    group.addoption("--fast", action="store_true", help="leave out what needs much or takes long")
    group.addoption("--every-release", action="store_true", help="sample no releases of hermes")
    group.addoption("--shuffle", metavar="SEED", help="run files and tests in another order")


def pytest_configure(config: pytest.Config) -> None:
    """See the module."""
    config.addinivalue_line("markers", "sampled: of the releases of hermes it runs on two")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Pick and order."""
    why: dict[pytest.Item, str] = {}
    if config.getoption("--fast"):
        why = {item: why_not(item) for item in items}
    elif not config.getoption("--every-release"):
        why = dict.fromkeys(not_sampled(items), _SAMPLED)
    if left := [item for item in items if why.get(item)]:
        config.stash[_LEFT_OUT] = Counter(why[item] for item in left)
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not why.get(item)]
    if seed := config.getoption("--shuffle"):
        _shuffle(items, random.Random(seed))
    elif workers := getattr(config, "workerinput", {}).get("workercount"):
        items[:] = dealt(items, int(workers))


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
        more = "; --every-release runs those" if _SAMPLED in left else ""
        terminalreporter.write_line(f"left out: {told}{more}")


def why_not(item: pytest.Item) -> str:
    """Why a test is no part of the fast ones; empty for one that is."""
    if any(f"/tests/{place}" in item.path.as_posix() for place in _LONG):
        return "take long"
    asked = set(_asked(item))
    imported = set(vars(getattr(item, "module", None) or object))
    for need, fixtures in _FIXTURES.items():
        if asked & fixtures or imported & _NAMES[need]:
            return _NEED + need
    return ""


def not_sampled(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests marked `sampled` on those releases that are not their two.

    A test always has the same two, and all releases are met by some. A test that was picked for
    one release, or for a few, is left as it was picked.
    """
    tests: defaultdict[str, dict[str, list[pytest.Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item.get_closest_marker("sampled"):
            for version in VERSIONS:
                if version in item.name:
                    tests[item.nodeid.replace(version, "")][version].append(item)
    left = []
    for name, by_version in tests.items():
        if len(by_version) == len(VERSIONS):
            first = zlib.crc32(name.encode()) % len(VERSIONS)
            others = (first + step for step in range(len(VERSIONS)) if step not in (0, 2))
            left += [one for at in others for one in by_version[VERSIONS[at % len(VERSIONS)]]]
    return left


def _asked(item: pytest.Item) -> Iterator[str]:
    """The names of a test's fixtures, and of those that its parameters stand for."""
    yield from getattr(item, "fixturenames", ())
    for value in getattr(getattr(item, "callspec", None), "params", {}).values():
        if isinstance(value, str):
            yield value


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in such an order that each of so many equal parts begins with long ones.

    Those of a cluster stay together: it costs CPU for as long as it runs.
    """
    ranks = {item: _rank(item) for item in items}
    long = sorted((item for item in items if ranks[item] < len(LONGEST)), key=ranks.__getitem__)
    rest = [item for item in items if ranks[item] == len(LONGEST)]
    rest.sort(key=lambda item: why_not(item) != _NEEDS_CLUSTER)
    dealt: list[pytest.Item] = []
    for worker in range(workers):
        part = long[worker::workers]
        size = (len(items) - len(dealt)) // (workers - worker)
        more = max(0, size - len(part))
        dealt += [*part, *rest[:more]]
        rest = rest[more:]
    return [*dealt, *rest]


def _rank(item: pytest.Item) -> int:
    """The place of a test among the longest; their number for one that is not."""
    name = item.nodeid
    return next((rank for rank, part in enumerate(LONGEST) if part in name), len(LONGEST))


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
