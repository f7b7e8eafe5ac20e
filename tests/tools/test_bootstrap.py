"""What sets a fresh machine up, tried on a project that needs nothing from anywhere."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_S
from tools import bootstrap

CHMOD = shutil.which("chmod")
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1.0.0"
"""
BACKEND = """
import zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "tiny-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        info = "tiny-1.0.0.dist-info"
        wheel.writestr("tiny.pth", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name

build_wheel = build_editable
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose lock is empty, so that nothing is fetched."""
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(bootstrap, "UNLOCKED", {*bootstrap.UNLOCKED, "tiny"})
    monkeypatch.delenv("PYTHON", raising=False)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("")
    return tmp_path


def test_an_environment_is_made_once_and_kept_current(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = bootstrap.dev()
    assert target == project / ".venv"
    first = capsys.readouterr().err
    assert first.startswith("set up: Python tools, 0 packages (")
    assert first.count("\n") == 1

    mark = target / "mark"
    mark.touch()
    assert bootstrap.dev() == target
    assert capsys.readouterr().err == ""

    # The project's own metadata changed: it alone is installed anew.
    (project / "pyproject.toml").write_text(f"{PYPROJECT}\n# changed\n")
    bootstrap.dev()
    assert capsys.readouterr().err.startswith("set up: Python tools (")
    assert mark.exists()

    # Another lock: what is not in it goes.
    stranger = next(target.glob("lib/python*/site-packages")) / "odd-1.0.dist-info"
    stranger.mkdir()
    (stranger / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (stranger / "RECORD").write_text("odd-1.0.dist-info/METADATA,,\nodd-1.0.dist-info/RECORD,,\n")
    (project / "requirements" / "dev.txt").write_text("# another\n")
    bootstrap.dev()
    assert not stranger.exists()
    assert mark.exists()

    # The Python below it is gone: it is made from nothing.
    (target / "bin" / "python").unlink()
    bootstrap.dev()
    assert not mark.exists()
    assert bootstrap._has_right_python(target)


def test_a_failure_is_told_in_a_few_lines(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = project / "requirements" / "dev.txt"
    lock.write_text("tiny @ file:///nowhere/tiny-1.0.0-py3-none-any.whl --hash=sha256:00\n")
    assert bootstrap.main(["dev"]) == 1
    err = capsys.readouterr().err
    assert "failed: Python tools" in err
    assert "set-up failed: " in err
    assert "The whole log is in .cache/logs/venv.log." in err
    assert "Traceback" not in err
    assert not bootstrap._stamped(project / ".venv", "")


def test_an_unknown_release_is_refused_with_those_there_are(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "requirements" / "hermes-1.0.0.txt").touch()
    assert bootstrap.main(["hermes", "2.0.0"]) == 1
    shown = capsys.readouterr().err
    assert shown == "set-up failed: no lock for hermes 2.0.0; there is one for 1.0.0\n"
    assert bootstrap.main(["nonsense"]) == 2


def test_two_processes_do_not_make_the_same_thing(project: Path) -> None:
    asked, made = threading.Event(), threading.Event()
    missing: list[bool] = []

    def ready() -> bool:
        asked.set()
        return made.is_set()

    def other() -> None:
        with bootstrap._alone(project / ".venv", ready) as is_missing:
            missing.append(is_missing)

    (project / ".cache" / "locks").mkdir(parents=True)
    with (project / ".cache" / "locks" / "venv").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=other)
        thread.start()
        assert asked.wait(PATIENCE_S)
        assert missing == []
        made.set()
        fcntl.flock(held, fcntl.LOCK_UN)
        thread.join(PATIENCE_S)
    assert missing == [False]


def command(directory: Path, name: str, script: str) -> None:
    """Put a command into a directory."""
    file = directory / name
    file.write_text(f"#!{shutil.which('sh', path='/usr/bin:/bin')}\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def path(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All there is on the PATH."""
    directory = project / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return directory


def test_a_browser_that_is_there_is_taken(path: Path) -> None:
    command(path, "chromium", "exit 1")
    assert bootstrap.browser() == path / "chromium"


def test_a_missing_browser_is_installed_once(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, chromium = path / "log", path / "chromium"
    install = f'[ "$1" = update ] || {{ : > {chromium}; {CHMOD} 755 {chromium}; }}'
    command(path, "apt-get", f'echo "$@" >> {log}\n{install}')
    assert [bootstrap.browser() for _ in range(2)] == [chromium, chromium]
    assert log.read_text().splitlines() == [
        "update",
        "install --yes --no-install-recommends chromium fonts-dejavu-core",
    ]
    assert capsys.readouterr().err.startswith("set up: browser (")


@pytest.mark.parametrize("lacking", ["root", "apt-get"])
def test_where_no_browser_can_be_installed_it_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "root":
        command(path, "apt-get", "exit 0")
        monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    with pytest.raises(bootstrap.SetupError, match=r"need Chromium.*apt-get install chromium"):
        bootstrap.browser()


def test_hermes_has_a_lock_for_every_release_that_is_tried() -> None:
    assert {"0.18.2", "0.19.0", "0.20.6.post1", "0.21.3.post1", "0.22.2.post1"} <= set(
        bootstrap.hermes_versions()
    )


# scripts/lib.sh


def shell(script: str, path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{path}", "HOME": str(path), **more}
    command = ["/bin/bash", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def python(folder: Path, name: str, fits: bool) -> Path:
    """A command that says it is a Python that fits, or one that does not."""
    file = folder / name
    file.write_text(f"#!/bin/sh\nexit {0 if fits else 1}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with next to nothing on it."""
    for name in ("dirname", "bash"):
        found = subprocess.run(["/bin/bash", "-c", f"command -v {name}"], capture_output=True)
        (tmp_path / name).symlink_to(found.stdout.decode().strip())
    return tmp_path


SOURCE = f"source {Path(bootstrap.ROOT) / 'scripts' / 'lib.sh'}; echo $SETUP_PYTHON"


def test_a_python_that_fits_is_found(machine: Path) -> None:
    python(machine, "python3", fits=False)
    newer = python(machine, "python3.12", fits=True)
    assert shell(SOURCE, machine).stdout.strip() == str(newer)


def test_the_python_that_was_asked_for_comes_first(machine: Path, tmp_path: Path) -> None:
    python(machine, "python3", fits=True)
    mine = python(machine, "mine", fits=True)
    assert shell(SOURCE, machine, PYTHON=str(mine)).stdout.strip() == str(mine)


def test_no_python_that_fits_is_one_clear_line(machine: Path) -> None:
    python(machine, "python3", fits=False)
    done = shell(SOURCE, machine)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("Python 3.11 or later is needed, and none was found.")
    assert done.stderr.count("\n") == 1


def test_this_python_fits(machine: Path) -> None:
    (machine / "python3").symlink_to(os.path.realpath(sys.executable))
    assert shell(SOURCE, machine).returncode == 0
