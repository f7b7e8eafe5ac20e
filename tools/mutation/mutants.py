"""The mutants of a module: its source with one small fault each."""

from __future__ import annotations

import ast
import copy
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import attrs

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
SILENT: Final = ("log", "_log", "warning", "info", "debug")
"""Calls whose arguments are words for people: tests need not hold every one of them."""
NAME: Final = re.compile(r"[\w.:/-]+")
"""What programs read: a field, a code, a header, a path. Sentences are for people."""
TEXT_MAX: Final = 90
TYPES: Final = ("TypeVar", "Literal", "cast")
MODULE: Final = "<module>"
"""Stands for a function in the name of a mutant that is in none."""


@attrs.frozen
class Mutant:
    """A fault: where it is, and what it is."""

    name: str
    """`function: before -> after`, stable while that code is; `#2` marks its second one."""
    line: int
    is_literal: bool
    """Whether it is a value that people feel: at module level, of a class, or a default."""
    _make: Callable[[], str] = attrs.field(repr=False)

    @property
    def source(self) -> str:
        """The whole source with the fault."""
        return self._make()


Change = tuple[ast.AST, ast.AST]
"""A node, and what stands in its place."""


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for where, node, changed, is_literal in _changes(tree, ""):
        name = f"{where}: {_text(node)} -> {_text(changed)}"
        seen[name] += 1
        number = f" #{seen[name]}" if seen[name] > 1 else ""
        make = functools.partial(_with, tree, node, changed)
        yield Mutant(name + number, getattr(node, "lineno", 0), is_literal, make)


def _changes(
    parent: ast.AST, where: str, in_code: bool = False
) -> Iterator[tuple[str, ast.AST, ast.AST, bool]]:
    for child in _code_in(parent):
        name = getattr(child, "name", None) if isinstance(child, _SCOPES) else None
        inside = f"{where}.{name}".lstrip(".") if name else where
        runs = in_code or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(child, ast.arguments):
            runs = False
        for make in _MAKERS:
            yield from ((inside or MODULE, child, changed, not runs) for changed in make(child))
        if not _is_told(child):
            yield from _changes(child, inside, runs)


_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _code_in(node: ast.AST) -> Iterator[ast.AST]:
    """What is run of a node: no annotations, no docstrings, no decorators."""
    skipped: list[object] = []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        skipped = [*node.decorator_list, node.returns]
    elif isinstance(node, (ast.AnnAssign, ast.arg)):
        skipped = [node.annotation]
    for child in ast.iter_child_nodes(node):
        is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if not is_docstring and child not in skipped:
            yield child


def _is_told(node: ast.AST) -> bool:
    """Whether what is in a node is for people, or for the type checker."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, (ast.JoinedStr, ast.Raise)):
        return True
    if isinstance(node, (ast.Call, ast.Subscript)):
        named = node.func if isinstance(node, ast.Call) else node.value
        if isinstance(named, ast.Name) and named.id in TYPES:
            return True
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr in SILENT)
    )


def _comparisons(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            if other := COMPARISONS.get(type(operator)):
                changed = copy.copy(node)
                changed.ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
                yield changed


def _logic(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BoolOp):
        other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield ast.BoolOp(other, node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(
        node.test, (ast.Compare, ast.UnaryOp)
    ):
        changed = copy.copy(node)
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield changed


def _arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and (other := ARITHMETIC.get(type(node.op))):
        yield ast.BinOp(node.left, other(), node.right)
    if isinstance(node, ast.AugAssign) and (other := ARITHMETIC.get(type(node.op))):
        yield ast.AugAssign(node.target, other(), node.value)


def _constants(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, (int, float)):
            yield ast.Constant(node.value + 1)
        elif isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield ast.Constant(f"{node.value}x")


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await)):
        if not _is_told(node.value):
            yield ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None))
    elif isinstance(node, (ast.Raise, ast.Break, ast.Continue)):
        yield ast.Pass()


def _extremes(node: ast.AST) -> Iterator[ast.AST]:
    others = {"min": "max", "max": "min", "any": "all", "all": "any"}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in others:
        yield ast.Call(ast.Name(others[node.func.id], ast.Load()), node.args, node.keywords)


_MAKERS: Final[tuple[Callable[[ast.AST], Iterator[ast.AST]], ...]] = (
    _comparisons,
    _logic,
    _arithmetic,
    _constants,
    _statements,
    _extremes,
)


def _with(tree: ast.Module, node: ast.AST, changed: ast.AST) -> str:
    class Replacer(ast.NodeTransformer):
        def visit(self, each: ast.AST) -> ast.AST:
            return changed if each is node else self.generic_visit_copy(each)

        def generic_visit_copy(self, each: ast.AST) -> ast.AST:
            fresh = copy.copy(each)
            for name, value in ast.iter_fields(each):
                if isinstance(value, list):
                    values = [self.visit(v) if isinstance(v, ast.AST) else v for v in value]
                    setattr(fresh, name, values)
                elif isinstance(value, ast.AST):
                    setattr(fresh, name, self.visit(value))
            return fresh

    return ast.unparse(ast.fix_missing_locations(Replacer().visit(tree)))


def _text(node: ast.AST) -> str:
    first = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()[0]
    return first if len(first) <= TEXT_MAX else f"{first[: TEXT_MAX - 1]}…"
