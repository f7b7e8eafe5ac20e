"""`chronos install` and `chronos uninstall`: the hook in hermes's site-packages."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nas_sdk._version import __version__

from . import target as targets
from .problems import Problem
from .target import Target

HOOK = "_chronos_hook.py"
PTH = "chronos_hook.pth"
# A .pth line must never fail, even when its module is gone: every Python start would say so.
PTH_LINE = 'import sys; exec("try:\\n import _chronos_hook\\nexcept Exception:\\n pass")\n'
_RECORDS = """
import json
try:
    from hermes_constants import get_default_hermes_root
    root = get_default_hermes_root()
    folders = [home / "cron" / "chronos" for home in (root, *root.glob("profiles/*"))]
except ImportError:
    folders = []
print(json.dumps({"folders": [str(folder) for folder in folders]}))
"""
_COMPILE = "import json, py_compile; print(json.dumps({{'file': py_compile.compile({!r})}}))"


def install(args: argparse.Namespace) -> int:
    """Write the hook, and check that a fresh hermes loads this chronos."""
    target = targets.find(args.hermes)
    print(f"{target.hermes}, run by {target.python}")
    if not target.has_plugin:
        raise Problem(how_to_add(target))
    source = (Path(__file__).parents[1] / "hook" / HOOK).read_text(encoding="utf-8")
    for name, text in ((HOOK, source), (PTH, PTH_LINE)):
        _write(target.site / name, text, dry_run=args.dry_run)
    if args.dry_run:
        return 0
    # By hand, because images often tell Python to write no bytecode: every start would compile.
    targets.run_json(target.python, _COMPILE.format(str(target.site / HOOK)))
    return _check(target)


def uninstall(args: argparse.Namespace) -> int:
    """Remove every file `install` wrote, and the provider's records in the agent home."""
    target = targets.find(args.hermes)
    print(f"{target.hermes}, run by {target.python}")
    stem = HOOK.removesuffix(".py")
    files = [target.site / PTH, target.site / HOOK]
    files += (target.site / "__pycache__").glob(f"{stem}.*.pyc")
    files += map(Path, targets.run_json(target.python, _RECORDS)["folders"])
    there = [path for path in files if path.exists()]
    for path in there:
        if not args.dry_run:
            _remove(path)
        print(f"{'would remove' if args.dry_run else 'removed'} {path}")
    if not there:
        print("nothing to remove: chronos is not installed there")
    return 0


def _check(target: Target) -> int:
    found = targets.loaded(target)
    for what in ("provider", "verifier"):
        print(f"a fresh hermes loads as {what}: {found[what]}")
    if found["provider"] is None:
        raise Problem("a fresh hermes loads no chronos at all; its log says why")
    if any(Path(found[what]).parent.name != "chronos_plugin" for what in ("provider", "verifier")):
        raise Problem("hermes still loads its bundled chronos; is CHRONOS_HOOK=0 set?")
    print(f"chronos {found['version']} is in place; restart a running gateway or dashboard")
    return 0


def _write(path: Path, text: str, *, dry_run: bool) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        print(f"unchanged {path}")
        return
    if dry_run:
        print(f"would write {path}")
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise Problem(f"cannot write {path}: {error.strerror}; run it as its owner") from None
    print(f"wrote {path}")


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise Problem(f"cannot remove {path}: {error.strerror}; run it as its owner") from None


def how_to_add(target: Target) -> str:
    """The command that brings our packages to that Python, by how hermes came there."""
    prefix, ours = target.python.parents[1], f"'{_requirement()}'"
    if (prefix / "pipx_metadata.json").exists():
        how = f"pipx inject --include-apps {target.name} {ours}"
    elif (prefix / "uv-receipt.toml").exists():
        how = f"uv tool install {target.name} --with {ours} --with-executables-from nas-sdk"
    else:
        how = f"{target.python} -m pip install {ours}"
    return f"the Python of {target.hermes} does not have chronos yet; run: {how}"


def _requirement() -> str:
    """These packages for another environment, from where they came to this one."""
    try:
        told = json.loads(metadata.distribution("nas-sdk").read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        told = {"url": Path(__file__).parents[2].as_uri()}
    url = str(told.get("url", ""))
    if not url:
        return f"nas-sdk[chronos]=={__version__}"
    return f"{unquote(urlsplit(url).path) if url.startswith('file:') else url}[chronos]"
