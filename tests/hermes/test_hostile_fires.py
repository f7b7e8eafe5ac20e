"""Hostile bodies and tokens against hermes's own fire handler: none runs a job."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection
from threading import local
from typing import NamedTuple

import httpx
import pytest

from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.bodies import generated_bodies
from tests.support.jwks_server import JwksServer, jwks_server
from tests.support.patience import PATIENCE_S
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    broken_tokens,
    generated_tokens,
    good_token,
    key_set,
)

SEED = 20_260_618
BODIES = 1500
UNKNOWN = "0123456789ab"
CONNECTIONS = 4
GOOD_ONES = 100
"""A new good token after so many fires."""
PIECE = 12
"""So many characters of a secret in a row are no coincidence in a log."""
SOON = {"issued in the future", "not valid yet"}
"""Classes of broken token with some that are good a minute later."""
COOLDOWN_SECONDS = 30
REFUSAL = (401, b'{"error":"invalid fire token"}', "application/json")


class Answer(NamedTuple):
    """What came of a fire."""

    status: int
    body: bytes
    type: str


class Server:
    """Where fires go, over a connection per thread that is kept alive."""

    def __init__(self, url: str) -> None:
        self._address = httpx.URL(url).netloc.decode()
        self._own = local()
        self._all: list[HTTPConnection] = []

    def fire(self, token: str, body: bytes) -> Answer:
        if not hasattr(self._own, "connection"):
            self._own.connection = HTTPConnection(self._address, timeout=PATIENCE_S)
            self._all.append(self._own.connection)
        connection: HTTPConnection = self._own.connection
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", "/api/cron/fire", body, headers)
        got = connection.getresponse()
        answer = Answer(got.status, got.read(), got.headers["Content-Type"])
        if got.status >= 500:
            connection.close()  # the server does, without a word
        return answer

    def close(self) -> None:
        for connection in self._all:
            connection.close()


@pytest.fixture
def keys() -> Iterator[JwksServer]:
    with jwks_server(key_set()) as server:
        yield server


@pytest.fixture
def guarded(new_agent: AgentMaker, keys: JwksServer) -> Agent:
    """An agent that takes the tokens minted here; their issuer itself cannot be reached."""
    made = new_agent()
    nobody = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    chronos = {"portal_url": ISSUER, "expected_audience": AUDIENCE, "nas_jwks_url": keys.url}
    for key, value in chronos.items():
        made.rewrite("config.yaml", f"cron.chronos.{key}", value)
    extra = {**nobody, "NO_PROXY": "127.0.0.1"}
    return replace(made, hermes=replace(made.hermes, extra=extra))


@pytest.fixture
def server(guarded: Agent) -> Iterator[Server]:
    with guarded.hermes.serving("serve") as serving, closing(Server(serving.url)) as server:
        yield server


def test_no_hostile_body_or_token_is_accepted(
    guarded: Agent, keys: JwksServer, server: Server
) -> None:
    job = guarded.hermes.create_job("guarded", "every 60m")
    bodies = [body for _, body in generated_bodies(SEED, BODIES, UNKNOWN)]
    hostile, good = list(hostile_tokens(BODIES)), [good_token()]

    def fire(number: int) -> Answer:
        if number % GOOD_ONES == 0:
            good.append(good_token())  # it does not live long
        token = good[-1] if number % 2 else hostile[number]
        return server.fire(token, bodies[number])

    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(fire, range(BODIES)))
    took = time.monotonic() - began

    assert set(answers[::2]) == {REFUSAL}
    for body, answer in list(zip(bodies, answers, strict=True))[1::2]:
        assert answer.status == expected(body), (body, answer)
        assert b"accepted" not in answer.body or b"accepted" in body
    assert keys.fetches <= 2 + took / COOLDOWN_SECONDS
    assert guarded.hermes.home.executions() == []

    good.append(good_token())
    due = {"job_id": job, "fire_at": guarded.make_due(job, -1)}
    assert server.fire(good[-1], json.dumps(due).encode()).status == 202
    guarded.await_runs("guarded", 1)

    log = tell(guarded)
    assert "fire refused" in log
    access = json.loads((guarded.hermes.home.hermes / "auth.json").read_text())
    login = access["providers"]["nous"]
    assert_not_told([*hostile, *good, login["access_token"], login["refresh_token"]], log)
    counts = Counter(answer.status for answer in answers)
    print(f"bodies: {BODIES} in {took:.0f} s, by status {dict(counts)}, JWKS {keys.fetches}")


@pytest.mark.parametrize("job_id", ["NaN", r'"\ud800"'])
def test_what_hermes_fails_to_answer_takes_a_good_token(server: Server, job_id: str) -> None:
    """It cannot put these ids into its answer. Nobody but NAS gets that far."""
    body = f'{{"job_id": {job_id}}}'.encode()
    assert server.fire(good_token(), body).status == 500
    assert {server.fire(token, body) for token in hostile_tokens(20)} == {REFUSAL}


def hostile_tokens(count: int) -> Iterator[str]:
    """So many that no check lets through, now or later; a few hundred different ones."""
    now = time.time()
    broken = [*broken_tokens(now), *generated_tokens(SEED, 300, now)]
    kept = [token for wrong, token in broken if wrong not in SOON and fits_a_header(token)]
    return itertools.islice(itertools.cycle(kept), count)


def fits_a_header(token: str) -> bool:
    """Whether a client can send it at all."""
    return token.isascii() and token.isprintable() and token.strip() == token != ""


def expected(body: bytes) -> int:
    """What hermes answers to a body with a good token: it names no job, or none that is there."""
    value = None
    with suppress(ValueError, RecursionError):
        value = json.loads(body)
    return 200 if isinstance(value, dict) and value.get("job_id") else 400


def tell(agent: Agent) -> str:
    """All that the agent's processes have logged."""
    files = sorted(agent.hermes.home.root.rglob("*.log"))
    assert len(files) > 2
    return "".join(file.read_text(errors="replace") for file in files)


def assert_not_told(secrets: list[str], log: str) -> None:
    pieces = {log[at : at + PIECE] for at in range(len(log) - PIECE + 1)}
    for secret in set(secrets):
        for part in secret.split("."):
            for at in range(len(part) - PIECE + 1):
                assert part[at : at + PIECE] not in pieces, part[at : at + PIECE]
