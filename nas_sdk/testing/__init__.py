"""An in-memory NAS for tests: the contract's rules behind an httpx transport.

    nas = InMemoryNas()
    with nas.client() as client:
        client.provision("job-1", "2026-06-18T12:34:56Z", "https://agent.example.com")
    assert nas.armed()["job-1"].fire_at == "2026-06-18T12:34:56Z"

Nothing touches the network, and time stands still until it is moved. With pytest, the
fixture `in_memory_nas` is there as soon as this package is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .nas import Delivery, InMemoryNas
    from .time import VirtualClock

__all__ = ["Delivery", "InMemoryNas", "VirtualClock"]


def __getattr__(name: str) -> Any:
    """Load a name when it is used: pytest imports this package wherever it is installed."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "time" if name == "VirtualClock" else "nas"
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value
