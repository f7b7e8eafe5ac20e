"""The hook's part in a web server: that it starts, and that its jobs are looked after."""

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from chronos_plugin import plugin_runtime
from tests.support.patience import PATIENCE_S

ROOT, PROFILE = Path("/agent/home"), Path("/agent/home/profiles/one")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which finds nothing here."""
    monkeypatch.setenv("CHRONOS_HOOK", "0")
    return importlib.import_module("chronos_plugin.hook._chronos_hook")


class End(BaseException):
    """Ends a thread that looks for ever."""


class Looked:
    """A process whose homes change from look to look."""

    def __init__(self, *homes: list[Path], kept: Path | None = None) -> None:
        self._homes: Iterator[list[Path]] = iter(homes)
        self._now: list[Path] = []
        self.reconcilers = {kept: object()} if kept else {}
        self.host = SimpleNamespace(homes=lambda: self._now)
        self.healed: list[list[Path]] = []
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        try:
            self._now = next(self._homes)
        except StopIteration:
            raise End from None

    def request_reconcile(self, *, woken: bool = True) -> None:
        assert not woken  # as nobody has armed anything that this would be about
        self.healed.append(self._now)


def watch(hook: ModuleType, process: Looked, monkeypatch: pytest.MonkeyPatch) -> list[list[Path]]:
    """The homes there were each time that all of them were converged."""
    monkeypatch.setattr(plugin_runtime, "PLUGIN", process)
    monkeypatch.setattr("time.sleep", process.sleep)
    with pytest.raises(End):
        hook.look()
    return process.healed


def test_a_look_converges_once_and_again_for_a_new_profile(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Looked([ROOT], [ROOT], [ROOT, PROFILE], [ROOT, PROFILE])
    assert watch(hook, process, monkeypatch) == [[ROOT], [ROOT, PROFILE]]
    assert process.slept == [3.0, 60.0, 60.0, 60.0, 60.0]


def test_homes_that_an_event_was_about_are_left_to_it(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch(hook, Looked([ROOT], [ROOT], kept=ROOT), monkeypatch) == []
    process = Looked([ROOT, PROFILE], kept=ROOT)
    assert watch(hook, process, monkeypatch) == [[ROOT, PROFILE]]


def test_a_look_that_fails_is_not_the_last(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = Looked([], [ROOT])

    def homes() -> list[Path]:
        if not process._now:
            raise PermissionError("no way in")
        return process._now

    process.host.homes = homes
    assert watch(hook, process, monkeypatch) == [[ROOT]]
    assert "until the next fire: no way in" in caplog.text


def test_a_web_server_starts_with_a_look_beside_it(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    monkeypatch.setattr(hook, "look", looked.set)
    server = SimpleNamespace(start_server=lambda host, *, port: (host, port))
    hook.attend(server)
    assert not looked.is_set()
    assert server.start_server("here", port=1) == ("here", 1)
    assert looked.wait(PATIENCE_S)


def test_a_web_server_starts_whatever_happens(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    server = SimpleNamespace(start_server=lambda: "served")
    hook.attend(server)
    assert server.start_server() == "served"
    assert "can't start new thread" in caplog.text


def test_a_web_server_of_another_kind_is_left_alone(hook: ModuleType) -> None:
    server = SimpleNamespace()
    hook.attend(server)
    assert vars(server) == {}
