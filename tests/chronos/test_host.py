"""What is read of hermes, against modules that look like each version's."""

import importlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import chronos_plugin
from chronos_plugin.host import Host
from chronos_plugin.store import Job
from nas_sdk import TokenError
from nas_sdk.reconcile import Runtime
from tests.support.patience import PATIENCE_S

Config = dict[str, Any]


class Modules:
    """hermes's modules, as far as they are used."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config: Config = {}
        self.home = home
        self.override: str | None = None
        self.stores_used: list[Path] = []
        self._monkeypatch = monkeypatch
        self._set("cron")
        self._set("hermes_cli")
        self._set(
            "hermes_constants",
            get_hermes_home=self._home,
            get_default_hermes_root=lambda: home,
            set_hermes_home_override=self._override,
            reset_hermes_home_override=self._override,
        )
        self._set("hermes_cli.config", load_config_readonly=self._config, cfg_get=_cfg_get)

    def jobs(self, **what: Any) -> None:
        self._set("cron.jobs", **what)

    def login(self, resolve: Callable[..., str]) -> None:
        error = type("AuthError", (RuntimeError,), {})
        self._set("hermes_cli.auth", AuthError=error, resolve_nous_access_token=resolve)

    def executions(self, latest: dict[str, Config], started: dict[int, int | None]) -> None:
        self._set("gateway")
        self._set("gateway.status", get_process_start_time=started.get)
        self._set("cron.executions", latest_executions=lambda ids: {i: latest[i] for i in ids})

    @contextmanager
    def use_cron_store(self, home: Path) -> Iterator[None]:
        self.stores_used.append(home)
        yield

    def _config(self) -> Config:
        return self.config if self.override in (None, str(self.home)) else {}

    def _home(self) -> Path:
        return self.home if self.override is None else Path(self.override)

    def _override(self, home: str | None) -> str | None:
        before, self.override = self.override, home
        return before

    def _set(self, name: str, **what: Any) -> None:
        module = ModuleType(name)
        module.__path__ = []
        vars(module).update(what)
        self._monkeypatch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def _cfg_get(config: Config, *names: str, default: Any = None) -> Any:
    value: Any = config
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return default
        value = value[name]
    return value


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Modules:
    return Modules(tmp_path, monkeypatch)


def test_settings_as_written(modules: Modules) -> None:
    modules.config = {
        "cron": {
            "provider": "chronos ",
            "chronos": {
                "portal_url": "https://nas.example.com//",
                "callback_url": "https://agent.example.com/",
                "nas_jwks_url": "https://nas.example.com/jwks",
                "expected_audience": "agent:7",
            },
        }
    }
    assert Host().settings()._asdict() == {
        "home": modules.home,
        "active": True,
        "portal_url": "https://nas.example.com",
        "callback_url": "https://agent.example.com",
        "jwks_url": "https://nas.example.com/jwks",
        "audience": "agent:7",
        "allow_http": False,
        "watchdog": True,
    }


@pytest.mark.parametrize(
    "config", [{}, {"cron": None}, {"cron": {"provider": "", "chronos": None}}]
)
def test_settings_that_are_not_there(modules: Modules, config: Config) -> None:
    modules.config = config
    settings = Host().settings()
    assert (settings.active, settings.portal_url, settings.watchdog) == (False, "", True)


def test_options_that_are_off_by_default_or_on(modules: Modules) -> None:
    modules.config = {"cron": {"chronos": {"watchdog": False, "allow_http": True}}}
    settings = Host().settings()
    assert (settings.watchdog, settings.allow_http) == (False, True)


@pytest.mark.parametrize("value", [None, "", "false", "true", 0, 1, []])
def test_a_switch_that_is_neither_true_nor_false_has_no_effect(
    modules: Modules, value: object
) -> None:
    modules.config = {"cron": {"chronos": {"watchdog": value, "allow_http": value}}}
    settings = Host().settings()
    assert (settings.watchdog, settings.allow_http) == (True, False)


def test_the_token_of_a_home_is_that_of_its_own_login(modules: Modules) -> None:
    other = modules.home / "profiles" / "other"
    modules.login(lambda **_: f"token of {modules._home()}")
    for renew in (False, True):
        assert Host().access_token(other, renew) == f"token of {other}"
        assert Host().access_token(modules.home, renew) == f"token of {modules.home}"
    assert modules.override is None


@pytest.mark.parametrize(
    "secret",
    ["nas_9f86d081884c7d659a2feaa0c55ad015", "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln-Xzk5"],
)
def test_a_reason_of_hermes_s_is_told_without_what_may_be_a_token(
    modules: Modules, secret: str
) -> None:
    def refused(**_: object) -> str:
        raise sys.modules["hermes_cli.auth"].AuthError(f"refresh of {secret} failed: 400")

    modules.login(refused)
    with pytest.raises(TokenError) as caught:
        Host().access_token(modules.home, renew=False)
    assert caught.value.message == "refresh of … failed: 400"
    assert secret not in repr(caught.value)


class KeptProblem:
    """What hermes keeps as wrong with its scheduler."""

    def __init__(self, modules: Modules, text: str = "") -> None:
        self.text = text
        modules.jobs(
            get_ticker_last_error=lambda: self.text,
            record_ticker_error=lambda text: self._keep(text),
            clear_ticker_error=lambda: self._keep(""),
        )

    def _keep(self, text: str) -> None:
        self.text = text


def test_a_problem_of_ours_is_kept_and_forgotten(modules: Modules) -> None:
    kept = KeptProblem(modules)
    Host().keep_problem(modules.home, "nothing is armed")
    assert kept.text == Host().problem(modules.home) == "chronos: nothing is armed"
    Host().keep_problem(modules.home, "")
    assert kept.text == ""


def test_a_problem_of_hermes_s_own_is_not_forgotten_for_ours(modules: Modules) -> None:
    kept = KeptProblem(modules, "the ticker died")
    Host().keep_problem(modules.home, "")
    assert kept.text == "the ticker died"


def test_settings_of_another_home(modules: Modules) -> None:
    modules.config = {"cron": {"provider": "chronos"}}
    assert not Host().settings(Path("/another")).active
    assert modules.override is None


def test_homes_are_those_of_all_profiles(modules: Modules) -> None:
    profiles = modules.home / "profiles"
    for name in ("two", "one"):
        (profiles / name).mkdir(parents=True)
    assert Host().homes() == []
    for home, file in ((modules.home, "config.yaml"), (profiles / "one", "config.yaml")):
        (home / file).touch()
    (profiles / "two" / "cron").mkdir()
    (profiles / "two" / "cron" / "jobs.json").touch()
    (profiles / "lost+found").mkdir()  # hermes would make a home of it if asked for its jobs
    (profiles / "note.txt").touch()
    assert Host().homes() == [modules.home, profiles / "one", profiles / "two"]


def test_the_home_is_the_one_whose_store_is_in_use(modules: Modules) -> None:
    assert Host().home() == modules.home
    modules.override = "/another"
    modules.jobs(use_cron_store=modules.use_cron_store)
    assert Host().home() == Path("/another")
    modules.jobs(CRON_DIR=Path("/third/cron"))
    assert Host().home() == Path("/third")


@pytest.mark.parametrize(
    ("job", "is_runnable"),
    [
        ({}, True),
        ({"enabled": True, "state": "scheduled"}, True),
        ({"enabled": False}, False),
        ({"state": "paused"}, False),
        ({"state": "completed"}, False),
        ({"state": "error"}, True),
    ],
)
def test_runnable_by_our_own_lights(modules: Modules, job: Job, is_runnable: bool) -> None:
    modules.jobs()
    assert Host().is_runnable(job) is is_runnable


def test_runnable_by_hermes_s_lights(modules: Modules) -> None:
    modules.jobs(is_job_runnable=lambda job: not job.get("paused_at"))
    assert Host().is_runnable({"enabled": True})
    assert not Host().is_runnable({"enabled": True, "paused_at": "2026-01-01T00:00:00+00:00"})
    assert not Host().is_runnable({"state": "completed"})


def test_a_job_that_hermes_cannot_judge_is_to_fire(modules: Modules) -> None:
    modules.jobs(is_job_runnable=lambda job: job["paused_at"])
    assert Host().is_runnable({})
    assert not Host().is_runnable({"state": "paused"})


def test_running_where_hermes_keeps_no_record(modules: Modules) -> None:
    modules.jobs()
    assert Host().running(["a"], modules.home, 0.0) == set()


def test_running_by_the_record(modules: Modules) -> None:
    def run(status: str, pid: int, began: int | None, hour: int = 12) -> Config:
        claimed = f"2026-01-01T{hour:02}:00:00+00:00"
        return {
            "status": status,
            "pid": pid,
            "process_started_at": began,
            "claimed_at": claimed,
        }

    latest = {
        "running": run("running", 1, 100),
        "claimed": run("claimed", 1, 100),
        "completed": run("completed", 1, 100),
        "dead": run("running", 2, 100),
        "another process by now": run("running", 1, 99),
        "of an unknown age": run("running", 3, None),
        "never ended": run("running", 1, 100, hour=1),
    }
    modules.executions(latest, {1: 100, 3: None})
    since = 1_767_225_600.0 + 6 * 3600
    assert Host().running(list(latest), modules.home, since) == {"running", "claimed"}


class Followed:
    """A store whose changes are noticed with the operating system's own notification."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stopped, self._seen = threading.Event(), threading.Event()
        self._texts: set[str] = set()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> "Followed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        for _ in Runtime().changes(self.file, self._stopped):
            with suppress(FileNotFoundError):
                self._texts.add(self.file.read_text())
            self._seen.set()

    def notices(self, text: str) -> bool:
        """Write a text until that is noticed; the notification may not be set up yet."""
        for _ in range(int(PATIENCE_S / 0.2)):
            fresh = self.file.with_name("fresh")
            fresh.write_text(text)
            fresh.replace(self.file)
            self._seen.wait(0.2)
            self._seen.clear()
            if text in self._texts or not self._thread.is_alive():
                break
        return text in self._texts


def test_changes_of_a_store_are_noticed(tmp_path: Path) -> None:
    with Followed(tmp_path / "cron" / "jobs.json") as store:
        store.file.parent.mkdir(exist_ok=True)
        assert store.notices("{}")


@pytest.mark.parametrize("how", ["moved away", "removed"])
def test_changes_of_a_store_whose_directory_was_replaced_are_noticed(
    how: str, tmp_path: Path
) -> None:
    with Followed(tmp_path / "cron" / "jobs.json") as store:
        folder = store.file.parent
        folder.mkdir(exist_ok=True)
        assert store.notices("before")
        if how == "removed":
            shutil.rmtree(folder)
        else:
            folder.rename(tmp_path / "gone")
        folder.mkdir()
        assert store.notices("restored from a backup")
        assert store.notices("and changed")  # the end of the old one may have been noticed above


def test_registering_only_where_there_is_something_to_register_with() -> None:
    chronos_plugin.register(SimpleNamespace(register_tool=None))


def test_the_home_is_known_while_another_thread_imports_the_store(
    modules: Modules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs.py").write_text(
        "import import_gate\n"
        "import_gate.entered.set()\n"
        "assert import_gate.may_go.wait(120)\n"
        "def use_cron_store(home): ...\n"
    )
    entered, may_go = threading.Event(), threading.Event()
    gate: Any = ModuleType("import_gate")
    gate.entered, gate.may_go = entered, may_go
    monkeypatch.setitem(sys.modules, "import_gate", gate)
    monkeypatch.setattr(sys.modules["cron"], "__path__", [str(tmp_path)])
    modules.jobs()  # so that the one imported is taken away again
    del sys.modules["cron.jobs"]
    with ThreadPoolExecutor(2) as pool:
        importing = pool.submit(importlib.import_module, "cron.jobs")
        assert entered.wait(PATIENCE_S)
        home = pool.submit(Host().home)
        may_go.set()
        assert home.result() == modules.home
        importing.result()
