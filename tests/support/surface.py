"""Which generated operations the clients offer, read from the code itself."""

import ast
from pathlib import Path

from nas_sdk import AsyncNasClient, NasClient
from nas_sdk._core import operations

PACKAGE = Path(operations.__file__).parents[1]
API = PACKAGE / "_generated" / "api"
ELSEWHERE = {"fire.key_set": "nas_sdk.webhooks.JwksCache"}
"""Operations that no client offers, and what does instead."""


def generated_operations(api: Path = API) -> set[str]:
    """The modules below `api` that build a request, such as `one_shots.cancel`."""
    return {
        ".".join(module.relative_to(api).with_suffix("").parts)
        for module in api.rglob("*.py")
        if "def _get_kwargs" in module.read_text()
    } - ELSEWHERE.keys()


def surfaced_operations(source: str | None = None) -> dict[str, str]:
    """The generated operations that `operations.py` builds on, each with its function."""
    tree = ast.parse(source or Path(operations.__file__).read_text())
    return {
        node.module.removeprefix("_generated.api."): function.name
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("_generated.api.")
        if node.module
    }


def unsurfaced(api: Path = API) -> list[str]:
    """A complaint for every generated operation that a client does not offer."""
    surfaced = surfaced_operations()
    complaints = []
    for operation in sorted(generated_operations(api)):
        function = surfaced.get(operation)
        if function is None:
            complaints.append(f"{operation}: no function of nas_sdk/_core/operations.py builds it")
            continue
        complaints += [
            f"{operation}: {client.__name__} has no method {function}"
            for client in (NasClient, AsyncNasClient)
            if not hasattr(client, function)
        ]
    return complaints
