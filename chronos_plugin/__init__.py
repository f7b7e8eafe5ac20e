"""Chronos: hermes cron jobs that NAS wakes the agent for."""

from typing import Any


def register(ctx: Any) -> None:
    """Give hermes's provider loader our provider; do nothing for any other kind of loader."""
    register_cron_scheduler = getattr(ctx, "register_cron_scheduler", None)
    if register_cron_scheduler is not None:
        from .scheduler import new_provider

        register_cron_scheduler(new_provider())
