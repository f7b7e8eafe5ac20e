"""An in-memory NAS for tests: the contract's rules behind an httpx transport.

    nas = InMemoryNas()
    with nas.client() as client:
        client.provision("job-1", "2026-06-18T12:34:56Z", "https://agent.example.com")
    assert nas.armed()["job-1"].fire_at == "2026-06-18T12:34:56Z"

Nothing touches the network, and time stands still until it is moved. With pytest, the
fixture `in_memory_nas` is there as soon as this package is installed.
"""

from .nas import Delivery, InMemoryNas
from .time import VirtualClock

__all__ = ["Delivery", "InMemoryNas", "VirtualClock"]
