"""The in-memory NAS behind a port of 127.0.0.1, for real processes, with faults to order."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from nas_sdk._core.clock import Clock
from nas_sdk._core.instants import parse_instant
from nas_sdk.testing import InMemoryNas
from nas_sdk.testing.transport import FAULT_MARK
from tests.support.recorder import Recorder, Seen
from tools.demo.home import NasAccess

TOKEN_PATH = "/api/oauth/token"
"""Where hermes renews its login; not NAS's, but on the same host."""
DEFAULT_AGENTS = ("python-", "python/")
"""How the user agents begin that HTTP libraries of Python have by default, in lower case."""


class NasClock(Clock):
    """Real time that can be put ahead; what waits for it can be let go."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.released = threading.Event()

    def time(self) -> float:
        return time.time() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.released.wait(seconds)


class NasOverHttp:
    """A NAS with one agent or more; `double` orders faults and delivers, `front` records."""

    def __init__(self) -> None:
        self.clock = NasClock()
        self.double = InMemoryNas(clock=self.clock)
        self.firewall = False
        """Whether requests with a library's own user agent are refused."""
        self.renewed = ""
        """The token that the portal gives to whoever renews a login; none while it is empty."""
        self.front = Recorder(self.double.base_url, _Portal(self))
        self.double.base_url = self.front.url

    def add_agent(self, name: str) -> NasAccess:
        """Provision an agent."""
        token = secrets.token_hex(16)
        self.double.tokens[token] = name
        return NasAccess(self.front.url, f"agent:{name}", token, refresh_token="good")

    def armed(self, agent: NasAccess) -> dict[str, int]:
        """The one-shots kept for an agent: job id to milliseconds since the epoch."""
        armed = self.double.armed(_name(agent))
        return {job_id: parse_instant(one.fire_at) for job_id, one in armed.items()}

    def arm(self, agent: NasAccess, job_id: str, fire_at: str) -> None:
        """Arm a one-shot that the agent knows nothing of."""
        self.double.arm(job_id, fire_at, agent=_name(agent))

    def calls(self, agent: NasAccess) -> list[Seen]:
        """What an agent sent and had answered, oldest first."""
        theirs = f"Bearer {agent.token}"
        return self.front.seen(lambda seen: seen.headers.get("authorization") == theirs)

    def fire_token(self, agent: NasAccess, **claims: object) -> str:
        """A token as for a fire of the agent's; `claims` replace the usual ones."""
        return self.double.mint_fire_token(_name(agent), **claims)

    def expire(self, agent: NasAccess) -> None:
        """Void an agent's token before its time; the portal gives a new one for it."""
        self.renewed = secrets.token_hex(16)
        self.double.tokens[self.renewed] = self.double.tokens.pop(agent.token)

    def key_fetches(self) -> int:
        """How often the keys were asked for, answered or not."""
        return sum(r.url.path.endswith("jwks.json") for r in self.double.requests)


class _Portal(httpx.BaseTransport):
    def __init__(self, nas: NasOverHttp) -> None:
        self._nas = nas
        self._inner = nas.double.transport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == TOKEN_PATH and self._nas.renewed:
            token = {"access_token": self._nas.renewed, "expires_in": 3600}
            return httpx.Response(200, json=token)
        user_agent = request.headers.get("user-agent", "").lower()
        if not (self._nas.firewall and user_agent.startswith(DEFAULT_AGENTS)):
            return self._inner.handle_request(request)
        return httpx.Response(403, text="<html>Forbidden</html>", extensions={FAULT_MARK: True})


@contextmanager
def nas_over_http() -> Iterator[NasOverHttp]:
    """Serve until the end of the block; what waits then is let go."""
    nas = NasOverHttp()
    with nas.front:
        try:
            yield nas
        finally:
            nas.clock.released.set()


def _name(agent: NasAccess) -> str:
    return agent.audience.removeprefix("agent:")
