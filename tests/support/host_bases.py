"""Base classes with exactly the signatures of a hermes release, and our provider on them."""

import inspect
import itertools
import re
import threading
from abc import ABCMeta, abstractmethod
from collections.abc import Iterator
from typing import Any

from chronos_plugin.plugin_runtime import PluginRuntime
from chronos_plugin.scheduler import provider_class
from nas_sdk.testing import InMemoryNas
from tests.support.fake_hermes import FakeHermes
from tests.support.virtual_runtime import VirtualRuntime
from tools.hosts.signatures import CLASSES, Signatures

UNKNOWN = "a_keyword_of_a_later_release"
_METHOD = re.compile(r"(?P<marks>(?:@\w+ )*)(?P<name>\w+)\((?P<takes>.*)\)")
_ANSWERS = {"claim_fire": "{'id': job_id}", "fire_due": "True", "fire_claimed": "True"}
_HANDED_ON = (*_ANSWERS, "recover_interrupted")
"""The hooks whose work is hermes's own."""


class StubBase:
    """The class that the lines of a `Signatures` describe; `calls` are those it had."""

    def __init__(self, methods: list[str]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        scope = {"property": property, "abstractmethod": abstractmethod, "calls": self.calls}
        members: dict[str, Any] = {}
        for line in methods:
            found = _METHOD.fullmatch(line)
            assert found is not None, line
            name, marks = found["name"], found["marks"].split()
            record = f"calls.append(({name!r}, {{**locals()}}))"
            body = f"def {name}({found['takes']}):\n {record}\n return {_ANSWERS.get(name)}"
            exec("\n".join([*marks, body]), scope)
            members[name] = scope[name]
        self.type = ABCMeta("CronScheduler", (), members)

    def hooks(self) -> list[str]:
        """The names of its methods."""
        return [name for name, member in vars(self.type).items() if inspect.isfunction(member)]

    def parameters(self, hook: str) -> list[inspect.Parameter]:
        """Those of a method, without `self`."""
        return list(inspect.signature(getattr(self.type, hook)).parameters.values())[1:]


def misfits(signatures: Signatures) -> list[str]:
    """What our provider does wrong on such a host, a line for each call that fails.

    Every hook of the host is called with every choice of the keywords that the host knows,
    and if it is ours, of one that no release has.
    """
    return list(_misfits(signatures))


def _misfits(signatures: Signatures) -> Iterator[str]:
    base, ticker = (StubBase(signatures.get(name, [])) for name in CLASSES)
    for hook in base.hooks():
        known = {p.name for p in base.parameters(hook) if p.kind is p.KEYWORD_ONLY}
        if hook in ticker.hooks():  # a gateway may tell any provider what it tells its own
            known |= {p.name for p in ticker.parameters(hook) if p.default is not p.empty}
        known |= {UNKNOWN} if _is_ours(base.type, hook) else set()
        for chosen in _choices(sorted(known)):
            given = {name: True if name in ("force", "manual") else object() for name in chosen}
            if wrong := _try(StubBase(signatures["CronScheduler"]), hook, given):
                yield f"{hook}({', '.join(chosen)}): {wrong}"


def _is_ours(base: type, hook: str) -> bool:
    return getattr(_provider_class(base), hook) is not getattr(base, hook)


def _choices(names: list[str]) -> Iterator[tuple[str, ...]]:
    """Every subset, and of more than six names those of up to two, and all of them."""
    sizes = range(len(names) + 1) if len(names) <= 6 else (0, 1, 2, len(names))
    return itertools.chain.from_iterable(itertools.combinations(names, size) for size in sizes)


def _try(base: StubBase, hook: str, given: dict[str, object]) -> str:
    """Call a hook of ours, with one job that is due. Returns what went wrong, if anything."""
    parameters = base.parameters(hook)
    needed = {p.name: _argument(p.name) for p in parameters if p.kind is not p.KEYWORD_ONLY}
    try:
        _call(base.type, hook, list(needed.values()), given)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if hook not in _HANDED_ON:
        return ""
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    wanted = {**needed, **defaults, **{k: v for k, v in given.items() if k in defaults}}
    calls = (values for name, values in base.calls if name == hook)
    got = [{name: value for name, value in call.items() if name != "self"} for call in calls]
    return "" if got == [wanted] else f"the base got {got}, not {wanted}"


def _argument(name: str) -> object:
    job = {"id": "j1", "next_run_at": None}
    return {"stop_event": threading.Event(), "job_id": "j1"}.get(name, job)


def _call(base: type, hook: str, needed: list[object], given: dict[str, object]) -> None:
    system = VirtualRuntime()
    try:
        hermes = FakeHermes(system)
        hermes.add("j1", 0, every=60)
        process = PluginRuntime(hermes, system, transport=InMemoryNas(clock=system).transport())
        getattr(_provider_class(base, process)(), hook)(*needed, **given)
    finally:
        system.close()


def _provider_class(base: type, *process: PluginRuntime) -> Any:
    return provider_class.__wrapped__(base, *process)  # what is kept for a base would be kept on
