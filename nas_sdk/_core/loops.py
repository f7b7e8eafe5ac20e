"""The event loop that is running, of asyncio or of trio, and what is for one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any


def is_async(callee: object) -> bool:
    """Whether this is an `async def`, or an object that is called as one."""
    return iscoroutinefunction(callee) or iscoroutinefunction(getattr(type(callee), "__call__", 0))  # noqa: B004


def running_loop() -> Any:
    """The event loop that is running: asyncio's, or the token of trio's."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return import_module("trio.lowlevel").current_trio_token()


def call_soon_threadsafe() -> Callable[..., object]:
    """What has the running event loop call a function with arguments, from any thread."""
    loop = running_loop()
    call: Callable[..., object]
    call = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
    return call
