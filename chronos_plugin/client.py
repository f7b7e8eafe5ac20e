"""The client of a home; imported when NAS is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_sdk._core.tokens import RenewingSource
from nas_sdk.client import NasClient
from nas_sdk.errors import ConfigurationError, InvalidRequestError, TokenError
from nas_sdk.reconcile.desired import LOOK_AGAIN_SECONDS

if TYPE_CHECKING:
    from .host import ChronosConfig, Host
    from .plugin_runtime import HomeReconciler, PluginRuntime

OFF = "cron.provider is not chronos any more: hermes's own ticker takes over when it starts again"
MOVED = "cron.chronos names another NAS by now"


def refresh(reconciler: HomeReconciler, process: PluginRuntime) -> None:
    """Take over the settings as they are now. Raises NasError where nothing is to be sent by them.

    Where they name another NAS, the process's reconciler for that is set to work.
    """
    if process.host.is_deleted(reconciler.home):
        _leave(reconciler, process)
        return
    reconciler.gone_since = None
    now = process.host.settings(reconciler.home)
    if process.reconcilers.get(reconciler.home) is reconciler:  # and not that of a command
        current = process.reconciler(now)
        if not now.active:
            raise InvalidRequestError(OFF)
        if current is not reconciler:
            current.request()
    if now.nas != reconciler.settings.nas:
        raise ConfigurationError(MOVED)


def _leave(reconciler: HomeReconciler, process: PluginRuntime) -> None:
    """Have what is armed for a deleted profile cancelled, if it still is that in a while.

    Its login is gone with it: that is tried once, and with the token of the last call.
    """
    now = process.runtime.time()
    reconciler.gone_since = reconciler.gone_since or now
    if (left := reconciler.gone_since + LOOK_AGAIN_SECONDS - now) > 0:
        reconciler.request(left)
        raise InvalidRequestError(f"{reconciler.home} is not there any more")
    process.reconcilers.pop(reconciler.home, None)
    reconciler.stop()


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
    now = host.settings(settings.home)  # which raises, and makes none, for a deleted profile
    if now.nas != settings.nas:
        raise TokenError(MOVED)
    if settings.active and not now.active:
        raise TokenError(OFF)
