"""The client of a home; imported when NAS is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_sdk._core.tokens import RenewingSource
from nas_sdk.client import NasClient
from nas_sdk.errors import ConfigurationError, InvalidRequestError, TokenError

if TYPE_CHECKING:
    from .host import ChronosConfig, Host
    from .plugin_runtime import HomeReconciler, PluginRuntime

OFF = "cron.provider is not chronos any more: hermes's own ticker takes over when it starts again"
MOVED = "cron.chronos names another NAS by now"


def refresh(reconciler: HomeReconciler, process: PluginRuntime) -> None:
    """Take over the settings as they are now. Raises NasError where nothing is to be sent by them.

    Where they name another NAS, the process's reconciler for that is set to work.
    """
    now = process.host.settings(reconciler.home)
    if process.reconcilers.get(reconciler.home) is reconciler:  # and not that of a command
        current = process.reconciler(now)
        if not now.active:
            raise InvalidRequestError(OFF)
        if current is not reconciler:
            current.request()
    if now.nas != reconciler.settings.nas:
        raise ConfigurationError(MOVED)


def new_client(process: PluginRuntime, settings: ChronosConfig) -> NasClient:
    """A client that logs in as hermes does in that home."""
    host, home = process.host, settings.home

    def token(renew: bool) -> str:
        _check(host, settings)
        token = host.access_token(home, renew)
        _check(host, settings)  # whoever moves an agent to another NAS logs it in there, too
        return token

    return NasClient(
        settings.portal_url or "unset",
        RenewingSource(token, process.runtime),
        user_agent="chronos",
        allow_http=settings.allow_http,
        clock=process.runtime,
        **process.client_options,
    )


def _check(host: Host, settings: ChronosConfig) -> None:
    """Raise TokenError where the login of a home may be for another NAS than these settings."""
    now = host.settings(settings.home)
    if now.nas != settings.nas:
        raise TokenError(MOVED)
    if settings.active and not now.active:
        raise TokenError(OFF)
