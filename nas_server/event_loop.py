"""The event loop a server runs on: uvloop where it is installed, else asyncio's own."""

import asyncio


def new() -> asyncio.AbstractEventLoop:
    """Return a new event loop."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
