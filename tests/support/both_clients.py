"""One way to drive `NasClient` and `AsyncNasClient`, so that a test runs against both."""

from collections.abc import Callable
from typing import Any

import httpx

from nas_sdk import AsyncNasClient, NasClient
from nas_sdk.testing import InMemoryNas, VirtualClock

KINDS = ("sync", "async")
FIRE_AT = "2026-06-18T12:34:56.789+02:00"
CALLBACK = "https://agent-7.example.com"
PROVISION = ("job-1", FIRE_AT, CALLBACK)


class Driver:
    """A client of one kind. Every method of it is awaited, whichever it is."""

    def __init__(self, client: NasClient | AsyncNasClient) -> None:
        self.client = client

    async def __call__(self, method: str, *args: Any, **options: Any) -> Any:
        result = getattr(self.client, method)(*args, **options)
        return await result if isinstance(self.client, AsyncNasClient) else result

    def with_policy(self, **policy: Any) -> "Driver":
        """The same, with another `ClientPolicy` for what it names."""
        settings = self.client._settings
        self.client._settings = settings._replace(policy=settings.policy._replace(**policy))
        return self

    async def close(self) -> None:
        await self("aclose" if isinstance(self.client, AsyncNasClient) else "close")


def driver(
    kind: str, base_url: str | None = "https://nas.test", token: Any = "agent-token", **options: Any
) -> Driver:
    """A client with these arguments; time is virtual unless `clock` is given."""
    options.setdefault("clock", VirtualClock())
    make: Callable[..., NasClient | AsyncNasClient] = (
        NasClient if kind == "sync" else AsyncNasClient
    )
    return Driver(make(base_url, token, **options))


def nas_driver(kind: str, nas: InMemoryNas, **options: Any) -> Driver:
    """A client of the in-memory NAS, on its clock."""
    options.setdefault("clock", nas.clock)
    return driver(kind, nas.base_url, transport=nas.transport(), **options)


def answering(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[Any]]:
    """A transport that gives these answers in turn, the last one for ever, and its requests."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        answer = answers[min(len(seen), len(answers) - 1)]
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content)
        )

    return httpx.MockTransport(handle), seen
