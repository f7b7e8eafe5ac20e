"""The provider that hermes bundles, in a simulated process.

It is loaded from the hermes whose Python this is, as it stands there. Around it stand the
same store, runs, network and clock as around ours, in the place of hermes's own modules.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx

from . import hermes
from .nas import URL
from .store import Job

if TYPE_CHECKING:
    from .process import OsProcess

CONFIG = {"portal_url": URL, "callback_url": hermes.CALLBACK}


class Bundled:
    """Hermes makes a new provider for every event, and so does this."""

    def __init__(self, process: OsProcess) -> None:
        _Stage.process = staticmethod(lambda: _owner(process))
        self._provider = _PROVIDER

    def start(self) -> None:
        self._provider().start(threading.Event(), adapters=None, loop=None)

    def verified(self) -> None:
        """Its verifier does nothing else."""

    def fire(self, job_id: str) -> object:
        return self._provider().fire_due(job_id)

    def claim(self, job_id: str, **how: bool) -> Any:
        raise RuntimeError("this hermes fires in one step")

    def run_claimed(self, claimed: Any) -> object:
        raise RuntimeError("this hermes fires in one step")

    def rolled_back(self, claimed: Any) -> None:
        raise RuntimeError("this hermes takes no claim back")

    def changed(self) -> None:
        self._provider().on_jobs_changed()

    def created(self, job: Job) -> None:
        self._provider().on_jobs_changed()

    def reconcile(self) -> None:
        """There is no command for it; a start does this."""
        self._provider().reconcile()


class _Stage:
    """Where the modules below find the process that calls them."""

    process: Any = None


def _owner(any_process: OsProcess) -> OsProcess:
    owner: Any = any_process.world.engine.current.owner
    return owner  # type: ignore[no-any-return] # a thread of the provider is a process's


def _process() -> OsProcess:
    process: OsProcess = _Stage.process()
    return process


def _load_jobs() -> list[Job]:
    return [dict(job) for job in _process().store().records.values()]


def _get_job(job_id: str) -> Job | None:
    job = _process().store().records.get(job_id)
    return None if job is None else dict(job)


def _claim_job_for_fire(job_id: str) -> bool:
    claimed = hermes.claim_alone(_process(), job_id)
    if claimed is not None:
        _process().world.engine.current.claimed = claimed
    return claimed is not None


def _create_execution(job_id: str, *, source: str) -> dict[str, str]:
    hermes.record(_process(), job_id)
    return {"id": job_id}


def _run_one_job(job: Job, **options: Any) -> bool:
    return hermes.run(_process(), _process().world.engine.current.claimed)


def _recover() -> int:
    _process().step()
    return 0


def _access_token() -> str:
    return _process().world.nas.log_in()


def _cfg_get(config: Any, *keys: str, default: Any = "") -> Any:
    return CONFIG.get(keys[-1], default)


def _send(method: str, url: str, headers: Any, body: Any, timeout: float) -> httpx.Response:
    patience = {"timeout": {"read": timeout}}
    request = httpx.Request(method, url, headers=headers, json=body, extensions=patience)
    return _process().world.nas.call(_process(), request)


def _post(url: str, *, json: Any, headers: Any, timeout: float) -> httpx.Response:
    return _send("POST", url, headers, json, timeout)


def _get(url: str, *, params: Any, headers: Any, timeout: float) -> httpx.Response:
    return _send("GET", url, headers, None, timeout)


def _stand_in(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module
    return module


def _load(name: str, file: Path) -> ModuleType:
    where = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=where)
    assert isinstance(spec, ModuleSpec)
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _provider() -> Any:
    """The class, from the files of the installed hermes."""
    spec = importlib.util.find_spec("plugins")
    if spec is None or spec.origin is None:
        raise RuntimeError("no hermes in this Python")
    site = Path(spec.origin).parent.parent
    _stand_in("requests", post=_post, get=_get)
    _stand_in("hermes_cli", __path__=[])
    _stand_in("hermes_cli.config", cfg_get=_cfg_get, load_config=dict)
    _stand_in(
        "hermes_cli.auth",
        get_provider_auth_state=lambda name: {"access_token": "x"},
        resolve_nous_access_token=_access_token,
    )
    _stand_in("cron", __path__=[str(site / "cron")])
    _stand_in(
        "cron.jobs",
        load_jobs=_load_jobs,
        get_job=_get_job,
        claim_job_for_fire=_claim_job_for_fire,
    )
    _stand_in(
        "cron.executions",
        create_execution=_create_execution,
        recover_interrupted_executions=_recover,
    )
    _stand_in("cron.scheduler", run_one_job=_run_one_job)
    _load("cron.scheduler_provider", site / "cron" / "scheduler_provider.py")
    chronos = site / "plugins" / "cron_providers" / "chronos" / "__init__.py"
    return vars(_load("bundled_chronos", chronos))["ChronosCronScheduler"]


_PROVIDER = _provider()
