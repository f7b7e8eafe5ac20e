"""`scripts/regen`: one command from the contract to the generated tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import regen
from tools.regen import GENERATED, SPEC, GenerationError, difference, generate, main


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = SPEC.read_text()
    assert old in text
    file = tmp_path / "contract.yaml"
    file.write_text(text.replace(old, new, 1))
    return file


def test_what_is_committed_is_what_the_contract_gives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == "nas_sdk/_generated is what the contract gives\n"


def test_generation_does_not_depend_on_chance(tmp_path: Path) -> None:
    """Sets are ordered by hashes that differ from process to process."""
    for seed in ("1", "2"):
        program = (
            "import sys, pathlib; from tools.regen import *; "
            "generate(SPEC, pathlib.Path(sys.argv[1]))"
        )
        command = [sys.executable, "-c", program, str(tmp_path / seed)]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
    assert difference(tmp_path / "1", tmp_path / "2") == []


def test_the_commands_of_another_place_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a ruff that is missing nor one that does something else makes a difference."""
    impostor = tmp_path / "bin" / "ruff"
    impostor.parent.mkdir()
    impostor.write_text("#!/bin/sh\nexit 1\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", str(impostor.parent))
    generate(SPEC, tmp_path / "fresh")
    assert difference(GENERATED, tmp_path / "fresh") == []


def test_a_place_that_is_ignored_makes_no_difference(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n")
    generate(SPEC, tmp_path / "fresh")
    assert difference(GENERATED, tmp_path / "fresh") == []


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("const: accepted", "const: accepte", '+    status: Literal["accepte"]'),
        ("maxLength: 128", "maxLength: 127", '+    "maxLength": 127,'),
        ("Arms exactly one", "Arms exactly two", "Arms exactly two one-shot for"),
    ],
)
def test_a_change_of_the_contract_turns_the_check_red(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    shown: str,
) -> None:
    monkeypatch.setattr(regen, "SPEC", edited(tmp_path, old, new))
    assert main(["--check"]) == 1
    out = capsys.readouterr().out
    assert shown in out
    assert "is not what the contract gives: run scripts/regen and commit it" in out


def test_a_tree_that_was_edited_turns_the_check_red(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(GENERATED, copy)
    (copy / "types.py").unlink()
    (copy / "mine.py").write_text("x = 1\n")
    shown = difference(copy, GENERATED)
    assert "--- _generated/mine.py (committed)" in shown
    assert "+++ _generated/types.py (the contract)" in shown


def test_regeneration_replaces_the_whole_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "_generated"
    tree.mkdir()
    (tree / "stale.py").write_text("x = 1\n")
    monkeypatch.setattr(regen, "GENERATED", tree)
    monkeypatch.setattr(regen, "CACHE", tmp_path / "cache")
    assert main([]) == 0
    assert difference(GENERATED, tree) == []
    assert not list((tmp_path / "cache").iterdir())


def test_what_the_generator_would_leave_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default it warns and goes on, without the answer or the operation."""
    file = edited(tmp_path, "#/components/responses/ServerError", "#/components/responses/No")
    with pytest.raises(GenerationError, match="Could not find reference"):
        generate(file, tmp_path / "fresh")
    monkeypatch.setattr(regen, "SPEC", file)
    assert main([]) == 1
    assert "the contract cannot be generated from" in capsys.readouterr().err
