"""Every number and switch that a package states: constants, defaults of fields and parameters."""

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import attrs

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "openapi" / "nas-agent-cron.yaml"


def numbers_of(package: str) -> dict[str, Any]:
    """By dotted name: numbers but 0, and collections with numbers.

    Of module constants, fields of classes, and defaults of parameters (those beyond 1).
    """
    return {
        name: value
        for name, value in _all(package)
        if _is_number(value) and (not name.endswith(")") or abs(value) > 1)
    }


def switches_of(package: str) -> dict[str, bool]:
    """By dotted name within the package: what is True or False unless something else is said."""
    given = {name: value for name, value in _all(package) if isinstance(value, bool)}
    return {name.removeprefix(f"{package}."): value for name, value in given.items()}


def hidden_of(package: str) -> dict[str, set[str]]:
    """By dotted name of a class within the package: the fields that its `repr` does not show."""
    found = {
        name: {field.name for field in attrs.fields(each) if not field.repr}
        for name, each in classes_of(package).items()
    }
    return {name: fields for name, fields in found.items() if fields}


def classes_of(package: str) -> dict[str, type[attrs.AttrsInstance]]:
    """Every class with fields, by dotted name within the package."""
    return {
        f"{name}.{each.__qualname__}".removeprefix(f"{package}."): each
        for name, loaded in _modules(package)
        for each in loaded.values()
        if inspect.isclass(each) and each.__module__ == name and attrs.has(each)
    }


def _modules(package: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if "_generated" not in path.parts:
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            yield name, vars(importlib.import_module(name))


def _all(package: str) -> Iterator[tuple[str, Any]]:
    for name, loaded in _modules(package):
        tree = ast.parse(Path(loaded["__file__"]).read_text(encoding="utf-8"))
        for stated, value in _in_body(tree.body, name, loaded):
            # What is loaded may be a mutant, and then not what the file says.
            own = loaded.get(stated.removeprefix(f"{name}."), value)
            yield stated, value if value is None else own


def _in_body(body: list[ast.stmt], where: str, names: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _in_body(node.body, f"{where}.{node.name}", names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _defaults(node, f"{where}.{node.name}", names)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            value = _value(node.value, names)
            if isinstance(target, ast.Name):
                yield f"{where}.{target.id}", value
            elif isinstance(target, ast.Tuple) and isinstance(value, tuple):
                yield from zip(
                    [f"{where}.{ast.unparse(each)}" for each in target.elts], value, strict=True
                )


def _defaults(
    node: ast.FunctionDef | ast.AsyncFunctionDef, where: str, names: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    pairs = [*zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True)]
    pairs += [
        (arg, each) for arg, each in zip(given.kwonlyargs, given.kw_defaults, strict=True) if each
    ]
    for arg, default in pairs:
        value = _value(default, names)
        if isinstance(value, int | float):
            yield f"{where}({arg.arg})", value


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    """What an expression without calls is; None for any other."""
    if any(isinstance(each, ast.Call | ast.Lambda | ast.Attribute) for each in ast.walk(node)):
        return None
    try:
        return eval(compile(ast.Expression(node), "", "eval"), dict(names))
    except Exception:
        return None


def _is_number(value: Any) -> bool:
    if type(value) in (tuple, list, dict):
        parts = [*value.values()] if isinstance(value, dict) else [*value]
        return any(map(_is_number, parts))
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0


class Limit(NamedTuple):
    """A number as people and the contract know it."""

    value: Any
    why: str
    contract: str = ""
    """The contract's words for it, where it has any."""


def disagreements(package: str, stated: Mapping[str, Limit]) -> list[str]:
    """Where the code of a package and what is `stated`, by name, are not the same."""
    told = {f"{package}.{name}": limit for name, limit in stated.items()}
    found = numbers_of(package)
    contract = " ".join(CONTRACT.read_text(encoding="utf-8").split())
    return [
        *(f"{name} = {found[name]!r}: is stated nowhere" for name in found.keys() - told.keys()),
        *(f"{name}: is no number of the code any more" for name in told.keys() - found.keys()),
        *(
            f"{name} = {found[name]!r}: {limit.value!r} is stated ({limit.why})"
            for name, limit in told.items()
            if name in found and found[name] != limit.value
        ),
        *(
            f"{name}: the contract does not say {limit.contract!r}"
            for name, limit in told.items()
            if limit.contract and limit.contract not in contract
        ),
    ]
