"""What the cron providers of a hermes release are called with, read from its wheel.

Nothing of the wheel is run. A class is a list of its methods, each as one line:

    "@property @abstractmethod name(self)"
    "claim_fire(self, job_id, *, force=False)"
"""

import ast
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.hosts.releases import Release

FILE = Path(__file__).with_name("signatures.json")
"""The signatures of every release that is tried, by `package==version`."""
MODULE = "cron/scheduler_provider.py"
CLASSES = ("CronScheduler", "InProcessCronScheduler")

Signatures = Mapping[str, list[str]]
"""The methods of each of `CLASSES`."""


class NoSchedulerError(Exception):
    """A wheel has no cron providers; the text names it."""


def recorded() -> dict[Release, Signatures]:
    """The content of `FILE`."""
    kept = json.loads(FILE.read_text())
    return {Release.parse(name): classes for name, classes in kept.items()}


def record(found: Mapping[Release, Signatures]) -> None:
    """Write these into `FILE`, in place of those of the same releases."""
    kept = {**recorded(), **found}
    ordered = {str(release): kept[release] for release in sorted(kept, key=Release.order)}
    FILE.write_text(json.dumps(ordered, indent=2) + "\n")


def of_wheel(wheel: Path) -> Signatures:
    """Read a wheel. NoSchedulerError when it has no cron providers."""
    with zipfile.ZipFile(wheel) as archive:
        there = MODULE in archive.namelist()
        found = of_source(archive.read(MODULE).decode()) if there else {}
    if CLASSES[0] not in found:
        raise NoSchedulerError(f"{wheel.name} has no {CLASSES[0]} in {MODULE}")
    return found


def of_source(source: str) -> Signatures:
    """Read the text of hermes's module of cron providers."""
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    return {node.name: list(_methods(node)) for node in classes if node.name in CLASSES}


def changes(before: Signatures, after: Signatures) -> list[str]:
    """What one release has otherwise than another, a line each."""
    lines = []
    for name in CLASSES:
        old, new = before.get(name, []), after.get(name, [])
        lines += [f"- {name}: {line}" for line in old if line not in new]
        lines += [f"+ {name}: {line}" for line in new if line not in old]
    return lines


def _methods(node: ast.ClassDef) -> Iterator[str]:
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            marks = "".join(f"@{ast.unparse(mark)} " for mark in method.decorator_list)
            yield f"{marks}{method.name}({ast.unparse(_bare(method.args))})"


def _bare(arguments: ast.arguments) -> ast.arguments:
    """The same without annotations, and with `...` for defaults that are no literals."""
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    arguments.defaults = [_literal(default) for default in arguments.defaults]
    arguments.kw_defaults = [d and _literal(d) for d in arguments.kw_defaults]
    return arguments


def _literal(default: ast.expr) -> ast.expr:
    return default if isinstance(default, ast.Constant) else ast.Constant(...)
