"""The job store as it stands: whatever shape it was left in, no job that is there is cancelled."""

import itertools
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chronos_plugin import store, store_marks
from chronos_plugin.plugin_runtime import PluginRuntime
from nas_sdk.reconcile.desired import WATCHDOG
from nas_sdk.testing import InMemoryNas
from tests.chronos.conftest import World
from tests.support.fake_hermes import HOME, FakeHermes
from tests.support.virtual_runtime import VirtualRuntime

IDS = ("a" * 12, "b" * 12, "c" * 12, "d" * 12)
ODD: tuple[Any, ...] = (None, 7, 1.5, "", "x", [], {}, [None], {"id": 3}, "9" * 5000, True)
"""What stands where something else should."""


class FileHermes(FakeHermes):
    """One whose store is a file."""

    def __init__(self, runtime: VirtualRuntime, file: Path) -> None:
        super().__init__(runtime)
        self.file = file

    def store(self, home: Path) -> store.Store:
        return store.read(ForAll(self.file))


class ForAll(type(Path())):  # type: ignore[misc]  # its class depends on the system
    """A file that the tests may not read either where they are run by root."""

    def read_text(self, *arguments: Any, **options: Any) -> str:
        if self.is_file() and not self.stat().st_mode & 0o400:
            raise PermissionError(13, "Permission denied")
        return str(super().read_text(*arguments, **options))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobs.json"


def document(runtime: VirtualRuntime) -> dict[str, Any]:
    """A store as hermes writes it, of jobs that are due in some hours."""
    return {
        "jobs": [
            {
                "id": job_id,
                "name": f"job {job_id[0]}",
                "enabled": True,
                "state": "scheduled",
                "next_run_at": FakeHermes.iso(runtime.time() + 3600 * (at + 1)),
                "schedule": {"kind": "interval", "minutes": 60},
                "repeat": {"times": None, "completed": 0},
                "fire_claim": None,
            }
            for at, job_id in enumerate(IDS)
        ],
        "updated_at": FakeHermes.iso(runtime.time()),
    }


def removed_by_a_person(text: bytes) -> set[str]:
    """The jobs that the file, read strictly, says are gone or not to fire; none if unsure."""
    try:
        data = json.loads(text.decode())
    except (ValueError, RecursionError):
        return set()
    records = data.get("jobs", None if data else []) if isinstance(data, dict) else data
    if isinstance(records, dict):
        records = [
            {**each, "id": each.get("id") or key} if isinstance(each, dict) else each
            for key, each in records.items()
        ]
    if not isinstance(records, list):
        return set()
    for record in records:
        if not (isinstance(record, dict) and isinstance(record.get("id"), str) and record["id"]):
            return set()
    there = {
        record["id"]
        for record in records
        if record.get("enabled", True) is not False
        and record.get("state") not in ("paused", "completed")
    }
    return set(IDS) - there


# How a store is damaged: each takes the document, and yields what stands in the file's place.

Shape = bytes | Callable[[Path], object]
"""What the file holds, or what is done to it."""
Damage = Callable[[dict[str, Any]], Iterator[Shape]]


def dumped(data: object) -> bytes:
    return json.dumps(data).encode()


def missing(data: dict[str, Any]) -> Iterator[Shape]:
    yield Path.unlink


def emptied(data: dict[str, Any]) -> Iterator[Shape]:
    yield from (b"", b" ", b"\0" * 4096, b"[]", b"{}", b"null", b'{"jobs": []}', b"0")


def cut_short(data: dict[str, Any]) -> Iterator[Shape]:
    text = dumped(data)
    yield from (text[:length] for length in range(0, len(text), 15))


def wrong_types(data: dict[str, Any]) -> Iterator[Shape]:
    """One value of a record or around it, at any depth, is something else; or its key is lost."""

    def places(node: Any) -> Iterator[tuple[Any, Any]]:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            yield node, key
            if isinstance(value, dict | list) and not (node is data["jobs"] and key):
                yield from places(value)

    for node, key in list(places(data)):
        usual = node[key]
        for node[key] in ODD:
            yield dumped(data)
        del node[key]
        yield dumped(data)
        if isinstance(node, list):
            node.insert(key, usual)
        else:
            node[key] = usual


def wrong_top(data: dict[str, Any]) -> Iterator[Shape]:
    yield from map(dumped, (*ODD, *({"jobs": odd} for odd in ODD)))


def double_ids(data: dict[str, Any]) -> Iterator[Shape]:
    """At the time of another job, or paused; before or behind the record that it doubles."""
    jobs = data["jobs"]
    for one, other in itertools.permutations(jobs, 2):
        for more in ({"next_run_at": other["next_run_at"]}, {"enabled": False, "state": "paused"}):
            double = {**one, **more}
            yield dumped({**data, "jobs": [double, *jobs]})
            yield dumped({**data, "jobs": [*jobs, double]})


def encodings(data: dict[str, Any]) -> Iterator[Shape]:
    data["jobs"][0]["name"] = "Grüße"
    text = json.dumps(data, ensure_ascii=False)
    for encoding in ("utf-8-sig", "latin-1", "cp437", "cp037", "gb18030", "utf-7"):
        yield text.encode(encoding)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        yield text.encode(encoding)


def links(data: dict[str, Any]) -> Iterator[Shape]:
    """To nowhere, in a circle, to a directory, through a file."""
    for target in ("nowhere.json", "jobs.json", ".", "other/jobs.json"):

        def link(file: Path, target: str = target) -> None:
            file.rename(file.with_name("other"))
            file.symlink_to(target)

        yield link


def no_permission(data: dict[str, Any]) -> Iterator[Shape]:
    yield lambda file: file.chmod(0)


def directory(data: dict[str, Any]) -> Iterator[Shape]:
    def replace(file: Path) -> None:
        file.unlink()
        file.mkdir()

    yield replace


def by_id(data: dict[str, Any]) -> Iterator[Shape]:
    jobs = {job.pop("id"): job for job in data["jobs"]}
    yield dumped({**data, "jobs": jobs})
    for odd in ODD:
        yield dumped({**data, "jobs": {**jobs, IDS[0]: odd}})


def bytes_flipped(data: dict[str, Any]) -> Iterator[Shape]:
    chance = random.Random(0)
    for _ in range(100):
        text = bytearray(dumped(data))
        for _ in range(chance.randrange(1, 4)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        yield bytes(text)


def deep(data: dict[str, Any]) -> Iterator[Shape]:
    yield b"[" * 100_000


def removed(data: dict[str, Any]) -> Iterator[Shape]:
    """By a person, who may also pause a job; not all of them, and not none."""
    paused = [{**job, "enabled": False, "state": "paused"} for job in data["jobs"]]
    for each in itertools.product((0, 1, 2), repeat=len(IDS)):
        if 0 < sum(map(bool, each)) < len(IDS):
            kinds = zip(data["jobs"], paused, [None] * len(IDS), strict=True)
            jobs = [one[kind] for one, kind in zip(kinds, each, strict=True)]
            yield dumped({**data, "jobs": [job for job in jobs if job]})


DAMAGES: Mapping[Damage, int] = {
    missing: 1,
    emptied: 8,
    cut_short: 67,
    wrong_types: 216,
    wrong_top: 22,
    double_ids: 48,
    encodings: 12,
    links: 4,
    no_permission: 1,
    directory: 1,
    by_id: 12,
    bytes_flipped: 100,
    deep: 1,
    removed: 64,
}
"""How many shapes there are of each."""


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_nothing_armed_for_a_job_that_is_still_there_is_cancelled(
    damage: Damage, tmp_path: Path
) -> None:
    count = 0
    for count, shape in enumerate(damage(document(VirtualRuntime())), 1):
        folder = tmp_path / str(count)
        folder.mkdir()
        assert lost(folder / "jobs.json", shape) == set(), shape
    assert count == DAMAGES[damage]


def lost(file: Path, shape: Shape) -> set[str]:
    """What is cancelled of the armed jobs and watchdogs, though nobody removed them."""
    runtime = VirtualRuntime()
    try:
        world = World(runtime, FileHermes(runtime, file), InMemoryNas(clock=runtime))
        world.hermes.config = {"watchdog": True}
        file.write_bytes(dumped(document(runtime)))
        provider = world.provider()
        provider.reconcile()
        armed = world.armed().keys()
        assert armed > set(IDS)
        _ = file.write_bytes(shape) if isinstance(shape, bytes) else shape(file)
        gone = removed_by_a_person(shape) if isinstance(shape, bytes) else set()
        kept = set(IDS) - gone if gone == set(IDS) else set(armed) - gone
        provider.reconcile()
        missed = kept - world.armed().keys()
        # A start of hermes finds it so, too, and so does whoever looks a second time.
        world.provider().reconcile()
        runtime.sleep(200)
        return missed | (set(IDS) & kept - world.armed_jobs().keys())
    finally:
        runtime.close()


def test_a_store_that_is_cut_short_anywhere_is_not_taken_for_whole(file: Path) -> None:
    text = dumped(document(VirtualRuntime()))
    for length in range(len(text)):
        file.write_bytes(text[:length])
        assert store.read(file) == store.Store(problem=f"{file} is not JSON")


def stored(text: str, file: Path) -> store.Store:
    file.write_text(text, encoding="utf-8")
    return store.read(file)


@pytest.mark.parametrize(
    "text",
    [
        '{"jobs": [{"id": "a"}]}',
        '[{"id": "a"}]',
        '\ufeff{"jobs": [{"id": "a"}]}',
        '{"jobs": {"a": {}}}',
    ],
)
def test_what_hermes_reads_is_read(text: str, file: Path) -> None:
    read = stored(text, file)
    assert [job["id"] for job in read.jobs] == ["a"]
    assert read.problem == ""


def test_every_read_is_of_what_the_file_holds_then(file: Path) -> None:
    chance = random.Random(1)
    times = [None, "2026-06-18T12:34:56+00:00", "2026-06-18T12:34:57+00:00"]  # of one length
    for _ in range(300):
        records = [{"id": job_id, "next_run_at": chance.choice(times)} for job_id in IDS[:2]]
        text = chance.choice(["", "{}", json.dumps({"jobs": records}), json.dumps(records)])
        file.write_text(text)
        os.utime(file, (0, 0))
        for _ in range(chance.randint(1, 3)):
            read = store.read(file)
            assert json.dumps(read.jobs) == json.dumps(records if "id" in text else [])
            assert read.problem == ("" if text else f"{file} is not JSON")


def test_a_record_that_cannot_be_read_is_told_and_the_others_are_known(file: Path) -> None:
    read = stored('{"jobs": [{"id": "a"}, "junk", {"name": "no id"}]}', file)
    assert [job["id"] for job in read.jobs] == ["a"]
    assert read.problem == "2 of 3 jobs in the store cannot be read"


def test_a_store_that_hermes_would_repair_is_read_and_told(file: Path) -> None:
    read = stored('{"jobs": [{"id": "a", "name": "\t"}]}', file)
    assert [job["id"] for job in read.jobs] == ["a"]
    assert "control characters" in read.problem


def test_a_store_without_its_list_is_no_empty_one(file: Path) -> None:
    assert "no list of jobs" in stored('{"jobz": [{"id": "a"}]}', file).problem
    assert stored("{}", file) == store.Store()


def test_no_permission(file: Path) -> None:
    file.touch(mode=0)
    read = store.read(ForAll(file))
    assert read == store.Store(problem=f"{file} cannot be read: Permission denied")


def test_jobs_without_a_time_that_can_be_read_keep_their_watchdog(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 3600)
    provider = world.provider()
    provider.reconcile()
    before = world.armed()
    for at in ("tomorrow", None):
        world.hermes.stores[HOME]["j1"]["next_run_at"] = at
        provider.reconcile()
        assert world.armed() == before
    world.hermes.remove("j1")
    provider.reconcile()
    assert world.armed() == {}


def test_a_store_that_is_not_there(file: Path) -> None:
    assert store.read(file) == store.Store(problem=f"{file} is not there", is_missing=True)


def test_that_there_was_a_store_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "cron").mkdir()
    assert not store_marks.was_store_seen(tmp_path)
    store_marks.store_seen(tmp_path)
    assert store_marks.was_store_seen(tmp_path)
    store_marks.forget_store(tmp_path)
    store_marks.forget_store(tmp_path)
    assert not store_marks.was_store_seen(tmp_path)
    assert list(store_marks.status_folder(tmp_path).iterdir()) == []


@pytest.mark.parametrize("note", [store_marks.store_seen, store_marks.store_believed_empty])
def test_only_the_owner_may_read_what_is_noted(note: Any, tmp_path: Path) -> None:
    (tmp_path / "cron").mkdir()
    before = os.umask(0)
    try:
        note(tmp_path)
    finally:
        os.umask(before)
    assert store_marks.status_folder(tmp_path).stat().st_mode & 0o777 == 0o700


GONE = store.Store(problem="jobs.json is not there", is_missing=True)


def test_a_store_that_is_gone_is_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 3600)
    provider = world.provider()
    provider.reconcile()
    before = world.armed()
    world.hermes.broken[HOME] = GONE
    provider.reconcile()
    world.runtime.sleep(600)
    assert world.armed() == before
    assert [text for text in caplog.messages if "not there" in text] == [
        "nothing is cancelled: jobs.json is not there"
    ]
    assert provider.process.reconciler().status.last_error == "jobs.json is not there"
    world.hermes.broken.clear()
    provider.reconcile()
    assert provider.process.reconciler().status.last_error == ""


def test_a_home_without_a_store_is_no_problem(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.broken[HOME] = GONE
    provider = world.provider()
    provider.reconcile()
    assert (world.armed(), provider.process.reconciler().status.last_error) == ({}, "")


def test_an_agent_whose_store_is_gone_is_woken_again(world: World) -> None:
    """Its last one-shot is spent, and still there is a next wake."""
    world.hermes.config = {"watchdog": True}
    world.hermes.broken[HOME] = GONE
    process = world.boot()
    process.request_reconcile()
    world.runtime.sleep(10)
    assert [job_id.startswith(WATCHDOG) for job_id in world.armed()] == [True, True]


def test_an_unreadable_record_leaves_an_early_watchdog_where_it_is(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 3600)
    world.hermes.add("j2", 36000)
    provider = world.provider()
    provider.reconcile()
    before = world.armed()
    whole = world.hermes.store(HOME)
    world.hermes.broken[HOME] = store.Store(whole.jobs[1:], "1 of 2 cannot be read")
    provider.reconcile()
    assert world.armed() == before


def test_the_last_job_that_a_person_removes_is_cancelled_at_once(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 3600)
    provider = world.provider()
    provider.reconcile()
    world.hermes.remove("j1")
    provider.reconcile()
    assert world.armed() == {}


@pytest.mark.parametrize("text", ["[]", "{}", '{"jobs": []}', '{"jobs": {}}', " {}\n"])
def test_a_store_that_was_emptied_is_believed_at_the_second_look(
    text: str, world: World, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.hermes.config = {"watchdog": True}
    for job_id in ("j1", "j2"):
        world.hermes.add(job_id, 36000)
    provider = world.provider()
    provider.reconcile()
    world.hermes.broken[HOME] = stored(text, file)
    provider.reconcile()
    assert world.armed_jobs().keys() == {"j1", "j2"}
    assert "names none of the 2 jobs" in provider.process.reconciler().status.last_error
    assert [each.levelname for each in caplog.records if "none of the 2" in each.message] == [
        "WARNING"
    ]
    world.runtime.sleep(50)
    assert world.armed_jobs().keys() == {"j1", "j2"}
    world.runtime.sleep(30)
    assert world.armed() == {}


@pytest.mark.parametrize("text", ["[]", "{}", '{"jobs": []}'])
def test_a_store_that_was_emptied_for_a_moment_loses_nothing(
    text: str, world: World, file: Path
) -> None:
    world.hermes.config = {"watchdog": True}
    for job_id in ("j1", "j2"):
        world.hermes.add(job_id, 36000)
    provider = world.provider()
    provider.reconcile()
    armed = world.armed()
    world.hermes.broken[HOME] = stored(text, file)
    provider.reconcile()
    world.runtime.sleep(50)
    del world.hermes.broken[HOME]
    world.runtime.sleep(200)
    assert world.armed() == armed
    world.hermes.broken[HOME] = stored(text, file)  # another time, looked at twice again
    provider.reconcile()
    world.runtime.sleep(50)
    assert world.armed() == armed


def test_another_profile_s_store_that_is_gone_cancels_nothing(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "cron").mkdir(parents=True)
    world.hermes.stores[other] = {}
    world.hermes.broken[other] = GONE
    world.nas.arm("theirs", world.hermes.iso(world.runtime.time() + 3600))
    world.hermes.add("j1", 3600)
    store_marks.store_seen(other)
    world.provider().reconcile()
    assert set(world.armed_jobs()) == {"j1", "theirs"}
    store_marks.forget_store(other)  # it never had one
    world.provider().reconcile()
    assert set(world.armed_jobs()) == {"j1"}


def test_another_profile_s_store_that_was_emptied_cancels_nothing_before_its_own_look(
    world: World, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "cron").mkdir(parents=True)
    world.hermes.stores[other] = {}
    world.hermes.add("mine", 36000)
    for job_id in ("t1", "t2"):
        world.hermes.add(job_id, 36000, home=other)
    mine, theirs = world.boot(), world.boot()

    def reconcile(process: PluginRuntime, home: Path) -> None:
        world.hermes.at = home
        world.provider(process).reconcile()

    reconcile(theirs, other)
    reconcile(mine, HOME)
    world.hermes.stores[other].clear()
    for process, home in ((mine, HOME), (theirs, other), (mine, HOME)):
        reconcile(process, home)
        assert set(world.armed_jobs()) == {"mine", "t1", "t2"}
    world.runtime.sleep(70)  # its own second look, a minute later
    assert set(world.armed_jobs()) == {"mine"}
    world.hermes.remove("mine")
    reconcile(mine, HOME)
    assert world.armed_jobs() == {}


def test_a_store_that_is_gone_after_it_was_believed_empty_is_told(
    world: World, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "cron").mkdir(parents=True)
    world.hermes.stores[home] = {}
    world.hermes.at = home
    world.hermes.add("j1", 36000)
    provider = world.provider()
    provider.reconcile()
    world.hermes.remove("j1")
    provider.reconcile()
    assert world.armed() == {}
    assert store_marks.is_believed_empty(home)
    world.hermes.broken[home] = GONE
    provider.reconcile()
    assert provider.process.reconciler().status.last_error == GONE.problem
    del world.hermes.broken[home]
    world.hermes.add("j2", 36000)
    provider.reconcile()
    assert not store_marks.is_believed_empty(home)


def test_an_empty_store_of_a_profile_without_chronos_is_believed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "cron").mkdir(parents=True)
    world.hermes.stores[other] = {}
    store_marks.store_seen(other)
    world.nas.arm("orphan", world.hermes.iso(world.runtime.time() + 3600))
    provider = world.provider()
    provider.reconcile()
    assert set(world.armed_jobs()) == {"orphan"}
    usual = world.hermes.settings
    monkeypatch.setattr(
        world.hermes, "settings", lambda home=None: usual(home)._replace(active=home != other)
    )
    provider.reconcile()
    assert world.armed_jobs() == {}
