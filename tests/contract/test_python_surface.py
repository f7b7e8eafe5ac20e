"""`scripts/contract surface`: what others may use of the package does not break unsaid."""

import re
import shutil
from pathlib import Path

import pytest

from tools.bootstrap import ROOT
from tools.contract import releases
from tools.contract.__main__ import main
from tools.contract.change import Weight
from tools.contract.surface import changes, surface

BREAKING, SAFE = Weight.BREAKING, Weight.SAFE

OLD = """
from typing import Literal
__all__ = ["Client", "Kind", "helper", "LIMIT"]
LIMIT = 3
Kind = Literal["a", "b"]
class Base:
    def close(self) -> None: ...
class Client(Base):
    name: str
    def __init__(self, url: str, *, timeout: float = 1.0) -> None: ...
    async def arm(self, job: str, at: str) -> int: ...
    @property
    def ok(self) -> bool: ...
    def _private(self, x: int) -> None: ...
def helper(x: int) -> int: ...
def unlisted(x: int) -> int: ...
"""


def package(folder: Path, source: str) -> Path:
    (folder / "nas_sdk").mkdir(parents=True)
    (folder / "nas_sdk" / "__init__.py").write_text(source)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        (", x: int) -> None: ...\ndef h", ", y: str) -> int: ...\ndef h", []),
        ("def unlisted(x: int)", "def unlisted(y: str)", []),
        ("timeout: float = 1.0", "timeout: float = 2.0", []),
        ("= 1.0)", "= 1.0, tries: int = 3)", [("Client.__init__(tries)", SAFE)]),
        ("= 1.0)", "= 1.0, tries: int)", [("Client.__init__(tries)", BREAKING)]),
        ("timeout: float = 1.0", "timeout: float", [("Client.__init__(timeout)", BREAKING)]),
        ("at: str) -> int", "at: str) -> str", [("Client.arm()", BREAKING)]),
        ("async def arm", "def arm", [("Client.arm()", BREAKING)]),
        (
            "self, job: str, at: str",
            "self, at: str, job: str",
            [("Client.arm(at)", BREAKING), ("Client.arm(job)", BREAKING)],
        ),
        ("at: str", "at: int", [("Client.arm(at)", BREAKING)]),
        ("    name: str\n", "", [("Client.name", BREAKING)]),
        ("close(self)", "shut(self)", [("Client.close()", BREAKING), ("Client.shut()", SAFE)]),
        ("Client(Base)", "Client(Base, Exception)", [("Client", BREAKING)]),
        ('"a", "b"]\nclass', '"a"]\nclass', [("Kind", BREAKING)]),
        (', "LIMIT"]', "]", [("LIMIT", BREAKING)]),
        ('"LIMIT"]', '"LIMIT", "unlisted"]', [("unlisted()", SAFE), ("unlisted(x)", SAFE)]),
    ],
)
def test_what_a_change_of_the_package_weighs(
    tmp_path: Path, old: str, new: str, expected: list[tuple[str, Weight]]
) -> None:
    assert old in OLD
    base = surface(package(tmp_path / "base", OLD))
    head = surface(package(tmp_path / "head", OLD.replace(old, new)))
    found = [(one.where.removeprefix("nas_sdk."), one.weight) for one in changes(base, head)]
    assert found == expected


def test_the_real_surface_has_what_people_use() -> None:
    lines = surface()
    assert "nas_sdk.NasClient.list_armed(): -> list[ArmedOneShot]" in lines
    assert "nas_sdk.AsyncNasClient.cancel(): async -> None" in lines
    assert any(line.startswith("nas_sdk.testing.InMemoryNas.transport()") for line in lines)
    assert any(line.startswith("nas_sdk.webhooks.FireVerifier.verify(body)") for line in lines)
    hidden = re.compile(r"\._(?!_init__|_version__)")
    assert not any(hidden.search(line.partition(":")[0]) for line in lines)
    assert not any("nas_server" in line or "_generated" in line for line in lines)


def test_reading_it_imports_nothing_and_is_the_same_every_time(tmp_path: Path) -> None:
    copy = tmp_path / "nas_sdk"
    shutil.copytree(ROOT / "nas_sdk", copy, ignore=shutil.ignore_patterns("__pycache__"))
    init = copy / "__init__.py"
    init.write_text(f'{init.read_text()}\nraise RuntimeError("imported")\n')
    assert surface(tmp_path) == surface()


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(releases, "RELEASED", tmp_path / "released")
    monkeypatch.setattr(releases, "ROOT", tmp_path)
    monkeypatch.setattr(releases, "project_version", lambda: "0.1.0")
    return tmp_path / "released"


def test_before_the_first_release_nothing_can_break(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["surface"]) == main(["diff"]) == 0
    assert "no contract is released yet" in capsys.readouterr().out


def test_a_release_is_what_later_changes_are_held_against(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release"]) == main(["release"]) == 0
    assert main(["diff"]) == main(["surface"]) == 0
    file = released / "python-0.1.0.txt"
    file.write_text(f"{file.read_text()}nas_sdk.Old: class()\n")
    capsys.readouterr()
    assert main(["surface"]) == 1
    shown = capsys.readouterr().out
    assert "  breaking:\n    - nas_sdk.Old: removed\n" in shown
    assert "it has to be 0.2.0 at least" in shown


def test_a_release_is_not_written_over(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release"]) == 0
    file = released / "python-0.1.0.txt"
    file.write_text("nas_sdk.Old: class()\n")
    assert main(["release"]) == 2
    assert "python-0.1.0.txt is released" in capsys.readouterr().err
    assert file.read_text() == "nas_sdk.Old: class()\n"


def test_the_newest_release_counts(released: Path) -> None:
    released.mkdir()
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        (released / f"python-{version}.txt").write_text(f"nas_sdk.v: {version}\n")
    (released / "python-next.txt").write_text("not a release\n")
    assert releases.surface() == ("0.10.0", ["nas_sdk.v: 0.10.0"])
