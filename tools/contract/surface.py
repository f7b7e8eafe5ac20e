"""The Python surface of `nas_sdk` as text: one line for everything others may use.

Read from the source, without importing it. Public is what a public module lists in
`__all__`, and the public members of the classes among that; every parameter has a line of
its own. A line that goes or changes breaks somebody; a new one breaks nobody, unless it is
a parameter that must be given.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import griffe

from tools.bootstrap import ROOT
from tools.contract.change import Change, Weight

PACKAGE = "nas_sdk"
OPTIONAL = ", optional"


def surface(root: Path = ROOT) -> list[str]:
    """The lines of the surface of the checkout at `root`, sorted."""
    places = [str(root)]
    package = griffe.load(
        PACKAGE, search_paths=places, try_relative_path=False, resolve_aliases=True
    )
    return sorted({line for module in _modules(package) for line in _exports(module)})


def changes(base: Sequence[str], head: Sequence[str]) -> list[Change]:
    """What changed between two surfaces."""
    old, new = _by_name(base), _by_name(head)
    found = []
    for name, said in old.items():
        if name not in new:
            found.append(Change(name, "removed", Weight.BREAKING))
        elif new[name] != said:
            found.append(Change(name, f"was {said}, is {new[name]}", Weight.BREAKING))
    return found + [_added(name, new[name], old) for name in new if name not in old]


def _added(name: str, said: str, old: Mapping[str, str]) -> Change:
    function, parenthesis, parameter = name.partition("(")
    required = parenthesis and parameter != ")" and not said.endswith(OPTIONAL)
    if required and f"{function}()" in old:
        return Change(name, "added, and required", Weight.BREAKING)
    return Change(name, "added", Weight.SAFE)


def _by_name(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.partition(": ")[::2] for line in lines)
    return dict(pairs)


def _modules(package: Any) -> Iterator[Any]:
    """The public modules of a package: `__all__` makes one public."""
    if package.exports is not None:
        yield package
    for name, member in sorted(package.modules.items()):
        if not member.is_alias and not name.startswith("_"):
            yield from _modules(member)


def _exports(module: Any) -> Iterator[str]:
    for name in sorted(str(name) for name in module.exports or ()):
        if name in module.members:
            yield from _lines(f"{module.path}.{name}", module.members[name])


def _lines(path: str, member: Any) -> Iterator[str]:
    """A public name and, for a class, its public members, those it inherits included."""
    target = member.final_target if member.is_alias else member
    if target.is_class:
        yield f"{path}: class({', '.join(str(base) for base in target.bases)})"
        for name, below in sorted(target.all_members.items()):
            if not name.startswith("_") or name == "__init__":
                yield from _lines(f"{path}.{name}", below)
    elif target.is_function:
        yield f"{path}(): {_labels(target)}-> {target.returns}"
        yield from _parameters(path, target)
    elif target.is_attribute:
        yield f"{path}: {_labels(target)}{_value(target)}"


def _labels(target: Any) -> str:
    shown = {"async", "classmethod", "staticmethod", "property", "cached"}
    return "".join(f"{label} " for label in sorted(target.labels & shown))


def _value(target: Any) -> str:
    """What an attribute holds: its type, or what an alias of a type stands for."""
    if target.annotation is not None:
        return str(target.annotation)
    is_alias = target.parent.is_module and not target.name.startswith("__")
    return " ".join(str(target.value).split()) if is_alias else "value"


def _parameters(path: str, target: Any) -> Iterator[str]:
    parameters = [one for one in target.parameters if one.name not in {"self", "cls"}]
    for index, one in enumerate(parameters):
        kind = str(one.kind.value)
        place = f" {index + 1}" if kind.startswith("positional") else ""
        optional = OPTIONAL if one.default is not None else ""
        yield f"{path}({one.name}): {kind}{place}, {one.annotation}{optional}"
