"""What the package offers, and that both clients offer the same."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import nas_sdk
from nas_sdk import AsyncNasClient, NasClient, errors
from tests.support.surface import API, unsurfaced


def test_an_operation_that_is_not_surfaced_is_named(tmp_path: Path) -> None:
    for module in API.rglob("*.py"):
        copy = tmp_path / module.relative_to(API)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(module.read_text())
    cancel = tmp_path / "one_shots" / "cancel.py"
    (tmp_path / "one_shots" / "sleep.py").write_text(cancel.read_text())
    named = set(unsurfaced(tmp_path)) - set(unsurfaced())
    assert named == {"one_shots.sleep: no function of nas_sdk/_core/operations.py builds it"}


def test_a_method_that_a_client_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(AsyncNasClient, "cancel")
    assert "one_shots.cancel: AsyncNasClient has no method cancel" in unsurfaced()


def members(client: type) -> dict[str, Any]:
    """The public members, with the asynchronous names as the others have them."""
    names = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
    return {
        names.get(name, name): member
        for name, member in inspect.getmembers(client)
        if name in names or not name.startswith("_")
    } | {"__init__": inspect.getattr_static(client, "__init__")}


def test_both_clients_have_the_same_members() -> None:
    ours = {name for name in members(NasClient) if name not in ("__enter__", "__exit__")}
    theirs = {name for name in members(AsyncNasClient) if name not in ("__enter__", "__exit__")}
    assert ours == theirs


# What must differ, as the language has it.
ASYNC_SPELLING = {
    "AsyncNasClient": "NasClient",
    "AsyncTokenSource": "TokenSource",
    "httpx.AsyncClient": "httpx.Client",
    "httpx.AsyncBaseTransport": "httpx.BaseTransport",
}


def signature(member: Any) -> str:
    text = str(inspect.signature(member))
    for theirs, ours in ASYNC_SPELLING.items():
        text = re.sub(rf"\b{re.escape(theirs)}\b", ours, text)
    return text


SHARED = sorted(name for name, member in members(NasClient).items() if callable(member))


@pytest.mark.parametrize("name", SHARED)
def test_both_clients_have_the_same_signatures(name: str) -> None:
    ours, theirs = members(NasClient)[name], members(AsyncNasClient)[name]
    assert signature(ours) == signature(theirs)


@pytest.mark.parametrize("name", SHARED)
def test_what_sends_is_asynchronous_on_one_of_them(name: str) -> None:
    sends = name not in ("__init__", "with_options")
    assert inspect.iscoroutinefunction(members(AsyncNasClient)[name]) is sends
    assert not inspect.iscoroutinefunction(members(NasClient)[name])


def test_all_is_sorted_and_whole() -> None:
    assert nas_sdk.__all__ == sorted(nas_sdk.__all__)
    assert len(set(nas_sdk.__all__)) == len(nas_sdk.__all__)
    for name in nas_sdk.__all__:
        assert getattr(nas_sdk, name) is not None
    assert set(nas_sdk.__all__) <= set(dir(nas_sdk))


def test_every_name_has_a_type_for_the_checkers() -> None:
    source = Path(nas_sdk.__file__).read_text()
    typed, _, rest = source.partition("__all__ = [")
    imported = set(re.findall(r"^ {4,8}(\w+),$", typed, re.M))
    for line in re.findall(r"^    from \S+ import ([\w, ]+)$", typed, re.M):
        imported |= set(line.split(", "))
    assert imported | {"__version__"} == set(nas_sdk.__all__)
    assert rest


def test_every_error_is_public() -> None:
    classes = {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.NasError)
    }
    assert classes <= set(nas_sdk.__all__)


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = nas_sdk.nonsense
