"""Optional fields of requests as keyword arguments: a TypedDict for each operation.

Read from what openapi-python-client wrote, so that names and types are its own. A client's
method takes them with `Unpack`, and so takes a field that the contract gains.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

HEAD = '''"""Optional fields of requests, by operation. Written by scripts/regen."""

from __future__ import annotations

from typing import TypedDict
'''


def module(tree: Path) -> str:
    """The text of `options.py` for a generated tree."""
    imports: dict[str, None] = {}
    classes = []
    for file in sorted(tree.glob("api/*/*.py")):
        call = _function(file, "_get_kwargs")
        if call is None:
            continue
        source = _body_model(tree, call) or file
        imports.update(dict.fromkeys(_imports(source)))
        fields = dict(_fields(source) if source != file else _parameters(call))
        classes.append(_class(file.stem, fields))
    return "\n".join([HEAD, *imports, *classes]) + "\n"


def _class(operation: str, fields: dict[str, str]) -> str:
    name = "".join(part.title() for part in operation.split("_"))
    lines = [f"    {field}: {kind}" for field, kind in fields.items()] or ["    pass"]
    return "\n".join(["", "", f"class {name}Options(TypedDict, total=False):", *lines])


def _function(file: Path, name: str) -> ast.FunctionDef | None:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    return None


def _body_model(tree: Path, call: ast.FunctionDef) -> Path | None:
    """The module of the model that a call takes as its body."""
    for argument in call.args.kwonlyargs:
        if argument.arg == "body" and argument.annotation is not None:
            wanted = f"class {ast.unparse(argument.annotation).split(' | ')[0]}:"
            return next(file for file in tree.glob("models/*.py") if wanted in file.read_text())
    return None


def _fields(model: Path) -> Iterator[tuple[str, str]]:
    """The optional attributes of a model's class with their types."""
    for node in ast.parse(model.read_text()).body:
        for field in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(field, ast.AnnAssign) and field.value and _is_unset(field.value):
                yield ast.unparse(field.target), _given(field.annotation)


def _parameters(call: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """The optional parameters of a call without a body."""
    for argument, default in zip(call.args.kwonlyargs, call.args.kw_defaults, strict=True):
        if default is not None and argument.annotation is not None and _is_unset(default):
            yield argument.arg, _given(argument.annotation)


def _is_unset(node: ast.expr) -> bool:
    return ast.unparse(node) == "UNSET"


def _given(annotation: ast.expr) -> str:
    kinds = ast.unparse(annotation).split(" | ")
    return " | ".join(kind for kind in kinds if kind != "Unset")


def _imports(file: Path) -> Iterator[str]:
    """The imports of a generated module, as from the top of the tree."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module not in {"client", "__future__"}:
            # A model stands two folders deep, a call three: seen from the top it is one.
            node.level = min(node.level, 1)
            yield ast.unparse(node)
