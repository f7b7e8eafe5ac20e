"""`scripts/release` on a copy of this checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_invariants import files
from tools.bootstrap import ROOT
from tools.release import NotReadyError, dated, part

TEXT = "# Changelog\n\n## 0.2.0, unreleased\n\n- New.\n\n## 0.1.0, 2026-01-01\n\n- Old.\n"


def run(tree: Path, *command: str) -> str:
    who = {
        f"GIT_{role}_{what}": "x@x"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    environment = os.environ | who | {"GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def release(tree: Path, *arguments: str) -> str:
    return run(tree, sys.executable, "-m", "tools.release", *arguments)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """This checkout as it is, committed."""
    copy = tmp_path / "tree"
    for file in files(ROOT):
        target = copy / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
        target.chmod(file.stat().st_mode)
    (copy / ".cache").mkdir()
    (copy / ".cache" / "redocly").symlink_to(ROOT / ".cache" / "redocly")
    (copy / ".venv").symlink_to(ROOT / ".venv")
    with (copy / ".gitignore").open("a") as ignored:  # a link is no folder
        ignored.write(".cache\n.venv\n")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "All")):
        assert run(copy, "git", *command).startswith("0")
    return copy


def test_a_release_is_built_dated_committed_and_tagged(tree: Path) -> None:
    said = release(tree, "--tested")
    assert said.startswith("0\n"), said
    assert "git push origin HEAD v0.1.0" in said
    assert run(tree, "git", "status", "--porcelain") == "0\n"
    assert "Release 0.1.0" in run(tree, "git", "log", "-1", "--format=%s")
    message = run(tree, "git", "tag", "-l", "v0.1.0", "--format=%(contents)")
    assert "- The reference NAS" in message
    assert "unreleased" not in (tree / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1]
    with zipfile.ZipFile(tree / "dist" / "nas_sdk-0.1.0-py3-none-any.whl") as wheel:
        assert "nas_server/page/static/off.html" in wheel.namelist()
    again = release(tree, "--tested")
    assert (
        again == "1\nscripts/release: v0.1.0 is there already: raise `version` in pyproject.toml\n"
    )


def test_a_dry_run_changes_nothing(tree: Path) -> None:
    before = run(tree, "git", "log", "--all", "--format=%H %D")
    said = release(tree, "--dry-run")
    assert said.startswith("0\n"), said
    assert "nothing was changed" in said
    assert run(tree, "git", "log", "--all", "--format=%H %D") == before
    assert run(tree, "git", "status", "--porcelain") == "0\n"
    assert not (tree / "dist").exists()


def change(tree: Path, name: str, old: str, new: str) -> None:
    text = (tree / name).read_text("utf-8")
    assert old in text
    (tree / name).write_text(text.replace(old, new), "utf-8")
    assert run(tree, "git", "commit", "-aqm", "Change").startswith("0")


def test_what_is_not_ready_is_said_and_left_as_it_was(tree: Path) -> None:
    (tree / "left").touch()
    assert "not committed" in release(tree, "--tested")
    (tree / "left").unlink()
    change(tree, "nas_sdk/_version.py", "0.1.0", "0.1.1")
    assert "name different versions" in release(tree, "--tested")
    change(tree, "nas_sdk/_version.py", "0.1.1", "0.1.0")
    change(tree, "CHANGELOG.md", "## 0.1.0, unreleased", "## 0.0.9, unreleased")
    assert "no part '0.1.0, unreleased'" in release(tree, "--tested")
    change(tree, "CHANGELOG.md", "## 0.0.9, unreleased", "## 0.1.0, unreleased")
    change(tree, "nas_sdk/client.py", "def cancel(", "def withdraw(")
    said = release(tree, "--tested")
    assert said.startswith("1\n")
    assert "tools.contract surface failed" in said
    assert run(tree, "git", "tag") == "0\n"
    assert run(tree, "git", "status", "--porcelain") == "0\n"


def test_only_the_part_of_the_version_is_dated_and_told() -> None:
    text = dated(TEXT, "0.2.0", "2026-02-03")
    assert text == TEXT.replace("unreleased", "2026-02-03")
    assert part(text, "0.2.0") == "- New."
    assert part(text, "0.1.0") == "- Old."
    for wrong in ("0.3.0", "0.1.0", "0.2"):
        with pytest.raises(NotReadyError, match="that says anything"):
            dated(TEXT, wrong, "2026-02-03")
