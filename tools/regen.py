"""Rebuild `nas_sdk/_generated` from the contract, or say how it differs.

The tree is what openapi-python-client writes, `options.py` (see `tools.request_options`), and
`contract.json`: the contract itself, for programs that have no YAML reader, and so that no
change of it goes unnoticed here.

    scripts/regen            # write it anew
    scripts/regen --check    # change nothing; exit 1 and show a diff when it is not current
"""

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from tools import request_options

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "openapi" / "nas-agent-cron.yaml"
CONFIG = ROOT / "openapi" / "generator.yaml"
GENERATED = ROOT / "nas_sdk" / "_generated"
CACHE = ROOT / ".cache"
FORMAT = ["ruff", "check", "--isolated", "--no-cache", "--quiet", "--fix", "--select", "F401,I"]
FORMAT += ["--line-length", "100"]
SHOWN = 80
"""Lines of a diff that are shown; what is beyond is counted."""


class GenerationError(Exception):
    """The generator refused the contract or warned about it; the text is what it said."""


def main(arguments: Sequence[str]) -> int:
    """Regenerate or check. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/regen", description="Rebuild nas_sdk/_generated from the contract."
    )
    parser.add_argument("--check", action="store_true", help="change nothing, show what would")
    check = parser.parse_args(arguments).check
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="regen-") as scratch:
        fresh = Path(scratch) / "fresh"
        try:
            generate(SPEC, fresh)
        except GenerationError as error:
            print(f"the contract cannot be generated from:\n{error}", file=sys.stderr)
            return 1
        if check:
            return _report(difference(GENERATED, fresh))
        _swap(GENERATED, fresh, Path(scratch) / "old")
    print(f"nas_sdk/_generated: {len(_texts(GENERATED))} files")
    return 0


def generate(spec: Path, into: Path) -> None:
    """Write what the contract `spec` gives into the new directory `into`.

    Raises GenerationError on anything the generator as much as warns about: it would
    otherwise leave out what it does not understand and go on.
    """
    options = ["--meta", "none", "--fail-on-warning", "--config", str(CONFIG)]
    command = ["openapi-python-client", "generate", "--path", str(spec), *options]
    done = subprocess.run(
        [*command, "--output-path", str(into)],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise GenerationError(done.stdout.strip())
    (into / "options.py").write_text(request_options.module(into))
    subprocess.run([*FORMAT, str(into / "options.py")], env=_environment(), check=True)
    contract = json.dumps(yaml.safe_load(spec.read_text()), indent=1, ensure_ascii=False)
    (into / "contract.json").write_text(contract + "\n")


def difference(committed: Path, fresh: Path) -> list[str]:
    """The lines of a unified diff between two generated trees; none when they are equal."""
    old, new = _texts(committed), _texts(fresh)
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        label = f"_generated/{name}"
        lines += difflib.unified_diff(
            old.get(name, "").splitlines(),
            new.get(name, "").splitlines(),
            f"{label} (committed)" if name in old else "nothing (committed)",
            f"{label} (the contract)" if name in new else "nothing (the contract)",
            lineterm="",
        )
    return lines


def _report(lines: list[str]) -> int:
    if not lines:
        print("nas_sdk/_generated is what the contract gives")
        return 0
    print("\n".join(lines[:SHOWN]))
    if len(lines) > SHOWN:
        print(f"… and {len(lines) - SHOWN} lines more")
    print("\nnas_sdk/_generated is not what the contract gives: run scripts/regen and commit it")
    return 1


def _swap(target: Path, fresh: Path, aside: Path) -> None:
    """Put `fresh` where `target` is. Two renames, so no reader sees half a tree."""
    if target.exists():
        target.rename(aside)
    fresh.rename(target)


def _texts(tree: Path) -> dict[str, str]:
    files = (path for path in tree.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(tree).as_posix(): path.read_text() for path in files}


def _environment() -> dict[str, str]:
    """Ours, with the pinned generator and formatter found before any other."""
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # Plain, narrow text: what the generator says ends up in our own messages.
    return {**os.environ, "PATH": commands, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
