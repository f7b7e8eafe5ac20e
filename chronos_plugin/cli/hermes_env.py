"""hermes as a command at a prompt sees it, beside what the plugin itself needs of it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas_sdk.errors import NasError

from ..host import Host
from ..plugin_runtime import PLUGIN, HomeReconciler, PluginRuntime
from ..store_marks import was_store_seen
from .problems import ElsewhereError, Problem
from .target import NEEDED


def host() -> Host:
    """The hermes of this process."""
    return PLUGIN.host


_NEEDED = {
    "cron.jobs": ("load_jobs",),
    "cron.scheduler_provider": ("CronScheduler", "InProcessCronScheduler"),
    "hermes_cli.auth": ("AuthError", "get_provider_auth_state", "resolve_nous_access_token"),
    "hermes_cli.config": ("cfg_get", "load_config_readonly", "read_raw_config"),
    "hermes_constants": ("get_hermes_home", "get_default_hermes_root", "set_hermes_home_override"),
}
"""What every hermes has that Chronos works with."""


def require() -> None:
    """Raise Problem for a hermes in this Python that is not supported, ElsewhereError for none."""
    if importlib.util.find_spec("hermes_cli") is None:
        raise ElsewhereError
    for name, members in _NEEDED.items():
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            lacks = name if error.name and name.startswith(error.name) else f"{name} ({error})"
            raise Problem(f"this hermes has no {lacks}; {NEEDED}") from None
        for member in members:
            if not hasattr(module, member):
                raise Problem(f"this hermes has no {name}.{member}; {NEEDED}")


def reconciler(**client_options: Any) -> HomeReconciler:
    """The reconciler of the agent home, patient, and not yet at work.

    Not the process's own: that follows the store, and would arm what is cancelled.
    """
    load_environment()
    PLUGIN.serving = True  # a person waits here, but for NAS and not for a prompt
    process = PLUGIN
    if client_options:
        options = PLUGIN.client_options | client_options
        process = PluginRuntime(PLUGIN.host, PLUGIN.runtime, **options)
        process.serving = True
    try:
        settings = process.host.settings()
        made = HomeReconciler(process, settings)
        made.adopt(settings)
        return made
    except ImportError as error:
        raise Problem(f"hermes cannot be loaded: {error}") from None
    except NasError as error:
        raise Problem(f"cron.chronos: {error}") from None


def onlooker(**client_options: Any) -> HomeReconciler:
    """A reconciler that tells what it would do, and never does it."""
    made = reconciler(**client_options)
    made.stop()
    return made


def written() -> Mapping[str, Any]:
    """`cron.chronos` as it is written, without what hermes fills in; empty for no mapping."""
    from hermes_cli.config import cfg_get, load_config_readonly

    effective = cfg_get(load_config_readonly(), "cron", "chronos")
    there = {key: value for cron in _sections() for key, value in _mapping(cron, "chronos").items()}
    used = effective if isinstance(effective, dict) else {}  # with ${VARIABLES} filled in
    return {str(key): used.get(key, value) for key, value in there.items()}


def written_sections() -> list[str]:
    """The keys of `cron` that are written."""
    return [str(key) for cron in _sections() for key in cron]


def _sections() -> list[dict[Any, Any]]:
    """`cron` of config.yaml and, which wins, of what an administrator manages."""
    from hermes_cli.config import read_raw_config
    from hermes_cli.managed_scope import load_managed_config

    return [_mapping(config, "cron") for config in (read_raw_config(), load_managed_config())]


def _mapping(config: Any, key: str) -> dict[Any, Any]:
    value = config.get(key) if isinstance(config, dict) else None
    return value if isinstance(value, dict) else {}


def parse_yaml(text: str) -> object:
    """What hermes reads in a text. Raises what its YAML library does."""
    return importlib.import_module("utils").fast_safe_load(text)


def provider() -> str:
    """`cron.provider` as hermes takes it."""
    from hermes_cli.config import cfg_get, load_config_readonly

    return str(cfg_get(load_config_readonly(), "cron", "provider") or "").strip()


def login() -> Mapping[str, Any]:
    """The stored Nous login without its secrets: whether there is one, and until when."""
    from hermes_cli.auth import get_provider_auth_state

    state = get_provider_auth_state("nous") or {}
    return {
        "there": bool(state.get("access_token")),
        "renewable": bool(state.get("refresh_token")),
        "expires_at": state.get("expires_at"),
    }


def portal_override() -> str:
    """The portal that hermes's environment names; logins are renewed there."""
    load_environment()
    named = os.environ.get("HERMES_PORTAL_BASE_URL") or os.environ.get("NOUS_PORTAL_BASE_URL")
    return str(named or "").rstrip("/")


def load_environment() -> None:
    """Know what the home's .env says, as every command of hermes does."""
    with contextlib.suppress(ImportError):
        from hermes_cli.env_loader import load_hermes_dotenv

        load_hermes_dotenv()


def shared_login() -> Path:
    """Where the profiles of an installation share their Nous login."""
    from hermes_constants import get_default_hermes_root

    named = os.environ.get("HERMES_SHARED_AUTH_DIR", "").strip()
    shared = Path(named).expanduser() if named else Path(get_default_hermes_root()) / "shared"
    return shared / "nous_auth.json"


def begin_store(home: Path) -> None:
    """Give a home that never had a job store one without jobs.

    Else a process that is fired takes it for lost: somebody must have armed that fire.
    """
    if host().store(home).is_missing and not was_store_seen(home):
        from cron.jobs import save_jobs

        save_jobs([])


def create_job(name: str, script: str) -> dict[str, Any]:
    """Make an hourly job that runs a script of the home: no model, no delivery. Its record."""
    from cron.jobs import create_job as create

    options = {"name": name, "deliver": "local", "script": script, "no_agent": True}
    return dict(create("", "every 1h", **options))


def set_next_run(job_id: str, at: str) -> None:
    """Have hermes's store say when a job is due."""
    from cron.jobs import update_job

    update_job(job_id, {"next_run_at": at})


def remove_job(job_id: str) -> None:
    """Remove a job from hermes's store."""
    from cron.jobs import remove_job as remove

    remove(job_id)


def gateway_pid() -> int | None:
    """The process id of the gateway of this home that runs now."""
    from gateway.status import get_running_pid

    pid = get_running_pid(cleanup_stale=False)
    return None if pid is None else int(pid)


def is_gateway_unwanted(home: Path) -> bool:
    """Whether a person has stopped the gateway of a home; hermes then drops fires for it."""
    try:
        state = json.loads((home / "gateway_state.json").read_text("utf-8-sig"))
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and state.get("desired_state") == "stopped"


@functools.cache
def hands_fires_on() -> bool:
    """Whether the web servers of this hermes hand fires on to a gateway.

    Read from their source: to import them takes seconds, and fails where they do not start.
    """
    spec = importlib.util.find_spec("hermes_cli")
    folders = map(Path, spec.submodule_search_locations or () if spec else ())
    servers = (file for folder in folders for file in folder.glob("web_server*.py"))
    return any(b"_forward_cron_fire_to_gateway" in file.read_bytes() for file in servers)


def gateway_has_server(home: Path) -> bool:
    """Whether the gateway of a home answers HTTP, for all that it has left in its home."""
    from gateway.status import read_runtime_status

    platforms = (read_runtime_status(home / "gateway_state.json") or {}).get("platforms")
    if not isinstance(platforms, dict):
        return True
    server = platforms.get("api_server")
    return isinstance(server, dict) and server.get("state") == "connected"


def log_file(home: Path) -> Path:
    """Where hermes's processes log, this plugin included."""
    return home / "logs" / "agent.log"
