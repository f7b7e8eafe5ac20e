"""Chronos: hermes cron jobs that NAS wakes the agent for."""


def register(ctx: object) -> None:
    """Give hermes's provider loader our provider; do nothing for any other kind of loader."""
    register_cron_scheduler = getattr(ctx, "register_cron_scheduler", None)
    if register_cron_scheduler is not None:
        from .scheduler import new_provider

        register_cron_scheduler(new_provider())


def __getattr__(name: str) -> type:
    """The class that hermes's own chronos has by this name; made when it is asked for."""
    if name != "ChronosCronScheduler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .scheduler import new_provider

    return type(new_provider())
