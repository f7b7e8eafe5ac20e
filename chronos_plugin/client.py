"""The client of a home; imported when NAS is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_sdk._core.tokens import RenewingSource
from nas_sdk.client import NasClient

if TYPE_CHECKING:
    from .host import ChronosConfig
    from .plugin_runtime import PluginRuntime


def new_client(process: PluginRuntime, settings: ChronosConfig) -> NasClient:
    """A client that logs in as hermes does in that home."""
    host, home = process.host, settings.home
    return NasClient(
        settings.portal_url or "unset",
        RenewingSource(lambda new: host.access_token(home, new), process.runtime),
        user_agent="chronos",
        allow_http=settings.allow_http,
        clock=process.runtime,
        **process.client_options,
    )
