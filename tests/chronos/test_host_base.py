"""The seam to hermes's own base class, over every shape that one may have."""

import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chronos_plugin.cli import check_hermes
from chronos_plugin.host_base import HostBase, taken_by
from chronos_plugin.scheduler import provider_class
from tests.chronos.conftest import World

KEYWORDS = ("force", "manual", "expected_fire_at", "adapters", "loop", "cancel_event")
"""What hosts hand to a fire, now or in a release to come."""


def subsets() -> Iterator[tuple[str, ...]]:
    """None, one, all but one and all: any two keywords are there and not in every way."""
    for count in (0, 1, len(KEYWORDS) - 1, len(KEYWORDS)):
        yield from itertools.combinations(KEYWORDS, count)


def method_with(names: tuple[str, ...], got: list[Any], answer: object) -> Callable[..., object]:
    """A method that takes just these keywords, as a release of hermes might have it."""
    body = ", ".join(f"{name}={name}" for name in names)
    head = ", ".join(["self", "given", *(["*"] if names else []), *(f"{n}=None" for n in names)])
    scope: dict[str, Any] = {"got": got, "answer": answer}
    source = f"def method({head}):\n    got.append((given, dict({body})))\n    return answer"
    exec(source, scope)
    made: Callable[..., object] = scope["method"]
    return made


@pytest.mark.parametrize("given", list(subsets()), ids="-".join)
def test_a_hook_hands_on_what_it_was_given_as_far_as_the_base_takes_it(
    world: World, given: tuple[str, ...]
) -> None:
    options = dict.fromkeys(given, True)
    for taken in subsets():
        for hook, answer in (("claim_fire", {"id": "j1"}), ("fire_claimed", True)):
            got: list[Any] = []
            two_phases = {"fire_claimed": lambda self, job: True}
            base = type("Base", (), two_phases | {hook: method_with(taken, got, answer)})
            provider: Any = provider_class.__wrapped__(base, world.boot())()
            world.hermes.stores[world.hermes.at].clear()
            world.hermes.add("j1", 0, every=60)
            assert getattr(provider, hook)(
                "j1" if hook == "claim_fire" else {"id": "j1"}, **options
            )
            assert got[0][1] == {name: options.get(name) for name in taken}


def test_a_fire_in_one_phase_does_too(world: World) -> None:
    for taken in subsets():
        got: list[Any] = []
        base = type("Base", (), {"fire_due": method_with(taken, got, True)})
        provider: Any = provider_class.__wrapped__(base, world.boot())()
        world.hermes.stores[world.hermes.at].clear()
        world.hermes.add("j1", 0, every=60)
        assert provider.fire_due("j1", **dict.fromkeys(KEYWORDS, True))
        assert got == [("j1", dict.fromkeys(taken, True))]


def test_every_hook_takes_any_keyword(later_world: World, world: World) -> None:
    for each in (later_world, world):
        kind = type(each.provider())
        for name, hook in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_") or hook.__module__ != "chronos_plugin.scheduler":
                continue
            kinds = {each.kind for each in inspect.signature(hook).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD in kinds, name


def test_a_method_that_is_not_there_does_nothing() -> None:
    assert HostBase(object).call("recover_interrupted", object()) is None


def test_a_method_that_takes_anything_is_given_all() -> None:
    def method(self: object, **options: object) -> None: ...

    assert taken_by(method, {"a": 1}) == {"a": 1}


def test_a_method_that_cannot_be_looked_into_is_given_all() -> None:
    assert taken_by(dict.update, {"a": 1}) == {"a": 1}  # C code without a signature


SHAPES = {
    "self, job_id": True,
    "self, job_id, *, force=False": True,
    "self, job_id, *, expected_fire_at": True,  # hermes has it for us, and we hand it on
    "self, job_id, **options": True,
    "self, *given": True,
    "self, job_id, store=None": True,
    "self": False,
    "self, job_id, store": False,
    "self, *, job_id": False,
}


@pytest.mark.parametrize("hook", check_hermes.HANDED_ON)
@pytest.mark.parametrize("takes", SHAPES)
def test_doctor_tells_a_base_that_does_not_take_what_we_hand_on(hook: str, takes: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"class Base:\n    def {hook}({takes}): ...", scope)
    found = check_hermes.base(scope["Base"])
    fits = SHAPES[takes]
    if hook == "recover_interrupted":  # it is given nothing
        fits = takes in ("self", "self, *given", "self, *, job_id")
    assert found.state == ("ok" if fits else "problem"), found
    assert fits or f"{hook}(): " in found.reason


def test_doctor_tells_a_hook_that_is_asked_for_and_that_we_do_not_have() -> None:
    scope: dict[str, Any] = {"abstractmethod": abstractmethod, "ABC": ABC}
    exec("class Base(ABC):\n    @abstractmethod\n    def of_a_later_release(self): ...", scope)
    assert "of_a_later_release() is asked for" in check_hermes.base(scope["Base"]).reason
