"""hermes as a command at a prompt sees it, beside what the plugin itself needs of it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas_sdk.errors import NasError

from ..host import Host
from ..keeper import PLUGIN, HomeReconciler, PluginRuntime
from .problems import ElsewhereError, Problem


def host() -> Host:
    """The hermes of this process."""
    return PLUGIN.host


def reconciler(**client_options: Any) -> HomeReconciler:
    """The keeper of the agent home, patient, and not yet at work.

    Not the process's own: that follows the store, and would arm what is cancelled. Raises
    ElsewhereError when hermes is in another Python.
    """
    _load_environment()
    PLUGIN.serving = True  # a person waits here, but for NAS and not for a prompt
    process = PLUGIN
    if client_options:
        options = PLUGIN.client_options | client_options
        process = PluginRuntime(PLUGIN.host, PLUGIN.runtime, **options)
        process.serving = True
    try:
        settings = process.host.settings()
        made = HomeReconciler(process, settings)
        made.watchdog = settings.watchdog
        return made
    except ImportError as error:
        if importlib.util.find_spec("hermes_cli") is None:
            raise ElsewhereError from None
        raise Problem(f"hermes cannot be loaded: {error}") from None
    except NasError as error:
        raise Problem(f"cron.chronos: {error}") from None


def onlooker(**client_options: Any) -> HomeReconciler:
    """A keeper that tells what it would do, and never does it."""
    made = reconciler(**client_options)
    made.stop()
    return made


def written() -> Mapping[str, Any]:
    """`cron.chronos` as config.yaml has it; empty when that is no mapping."""
    from hermes_cli.config import cfg_get, load_config_readonly

    ours = cfg_get(load_config_readonly(), "cron", "chronos")
    return ours if isinstance(ours, dict) else {}


def provider() -> str:
    """`cron.provider` as config.yaml has it."""
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
    _load_environment()
    named = os.environ.get("HERMES_PORTAL_BASE_URL") or os.environ.get("NOUS_PORTAL_BASE_URL")
    return str(named or "").rstrip("/")


def _load_environment() -> None:
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


def gateway_pid() -> int | None:
    """The process id of the gateway of this home that runs now."""
    from gateway.status import get_running_pid

    pid = get_running_pid(cleanup_stale=False)
    return None if pid is None else int(pid)


def log_file(home: Path) -> Path:
    """Where hermes's processes log, this plugin included."""
    return home / "logs" / "agent.log"
