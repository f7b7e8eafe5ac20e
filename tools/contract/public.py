"""What is public of `nas_sdk`, held against what is guarded and what is documented.

There is one definition: a name is public if no part of its path begins with an underscore
and the module lists it in `__all__`. Such a name is a line of the guarded surface and has a
place in the reference, and nothing else is documented. Packages, and the modules beside
`nas_sdk/__init__.py`, have an `__all__`; a module within a package has none when the package
says what is public of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

from tools.bootstrap import ROOT
from tools.contract.surface import PACKAGE, surface

SHOWN = re.compile(r"^::: (\S+)$", re.MULTILINE)
"""A name in the reference."""


def problems(root: Path = ROOT) -> list[str]:
    """What does not keep the definition in the checkout at `root`, a line each."""
    package = griffe.load(
        PACKAGE, search_paths=[str(root)], try_relative_path=False, resolve_aliases=True
    )
    found: list[str] = []
    listed: dict[str, str] = {}
    for module in _public_modules(package):
        if module.exports is None:
            found.append(f"{module.path}: has no __all__")
            continue
        exports = {str(name) for name in module.exports} - {"__version__"}
        listed |= {f"{module.path}.{name}": _origin(module, name) for name in exports}
        found += [
            f"{module.path}.{name}: has no underscore and is not in __all__"
            for name in _own(module)
            if name not in exports
        ]
    guarded = {line.split(": ")[0].partition("(")[0] for line in surface(root)}
    documented = {name: _resolved(package, name) for name in _documented(root)}
    for name, origin in listed.items():
        if name.rpartition(".")[2].startswith("_"):
            found.append(f"{name}: is in __all__ and begins with an underscore")
        if name not in guarded:
            found.append(f"{name}: is in __all__ and not in the guarded surface")
        if origin not in documented.values():
            found.append(f"{name}: is in __all__ and not in docs/reference")
    public = set(listed.values())
    found += [
        f"{name}: is in docs/reference and in no __all__"
        for name, origin in documented.items()
        if origin not in public
    ]
    return sorted(found)


def _public_modules(package: Any, *, inside: bool = False) -> Iterator[Any]:
    """Those that need an `__all__`, and those that have one."""
    if not inside or package.exports is not None or package.is_init_module:
        yield package
    for name, member in package.modules.items():
        if not (member.is_alias or name.startswith("_")):
            yield from _public_modules(member, inside=inside or package.path != PACKAGE)


def _own(module: Any) -> list[str]:
    """What a module defines under a name without an underscore."""
    return [
        name
        for name, member in module.members.items()
        if not (name.startswith("_") or member.is_alias or member.is_module)
    ]


def _origin(module: Any, name: str) -> str:
    """The path of a name where it is defined."""
    if name not in module.members:
        return f"{module.path}.{name}"
    member = module.members[name]
    return str(member.final_target.path if member.is_alias else member.path)


def _resolved(package: Any, path: str) -> str:
    """The path of a documented name where it is defined."""
    *modules, name = path.removeprefix(f"{PACKAGE}.").split(".")
    module = package
    for each in modules:
        if each not in module.members:
            return path
        module = module.members[each]
    return _origin(module, name)


def _documented(root: Path) -> list[str]:
    pages = sorted((root / "docs" / "reference").glob("*.md"))
    return [name for page in pages for name in SHOWN.findall(page.read_text("utf-8"))]
