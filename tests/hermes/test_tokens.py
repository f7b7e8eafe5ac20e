"""Only a fire token of our NAS for our agent makes hermes run a job."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest

from nas_sdk.testing.keys import FireKey
from tests.hermes.conftest import AgentMaker
from tests.support.hermes_env import MAIN
from tests.support.hermes_host import eventually


@pytest.fixture(scope="module")
def key() -> FireKey:
    return FireKey()


@pytest.fixture(scope="module")
def jwks_url(key: FireKey) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [key.public_jwk()]}).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/jwks"
        server.shutdown()
        thread.join()


def bad_tokens(key: FireKey, good: dict[str, Any]) -> dict[str, str]:
    """Tokens that each differ from a good one in one way."""
    forger = FireKey()
    forger.kid = key.kid
    past = int(time.time()) - 200
    now = {"iat": past + 200, "exp": past + 290}
    return {
        "forged": forger.sign(good),
        "unsigned": jwt.encode({**good, **now}, "", algorithm="none"),
        "signed with the agent's token": jwt.encode(
            {**good, **now}, "k" * 32, algorithm="HS256", headers={"kid": key.kid}
        ),
        "expired": key.sign({**good, "iat": past, "exp": past + 90}),
        "wrong audience": key.sign({**good, "aud": "agent:another"}),
        "no audience": key.sign({**good, "aud": None}),
        "wrong issuer": key.sign({**good, "iss": "http://127.0.0.1:1"}),
        "wrong purpose": key.sign({**good, "purpose": "login"}),
        "no purpose": key.sign({**good, "purpose": None}),
        "no token": "x",
    }


@pytest.mark.parametrize("kind", ["serve", "gateway"])
def test_bad_tokens_are_refused_and_run_nothing(
    kind: str, new_agent: AgentMaker, key: FireKey, jwks_url: str
) -> None:
    agent = new_agent(MAIN)
    agent.rewrite("config.yaml", "cron.chronos.nas_jwks_url", jwks_url)
    job = agent.hermes.create_job("guarded", "every 1m")
    due = agent.make_due(job, -1)
    good = {"iss": agent.access.url, "aud": agent.access.audience, "purpose": "cron_fire"}
    # Not through NAS: nothing else fires this job while it is due.
    with agent.hermes.serving(kind) as server:
        answers = {
            name: server.fire(token, job, due).status_code
            for name, token in bad_tokens(key, good).items()
        }
        assert answers == dict.fromkeys(answers, 401)

        assert server.fire(key.sign(good), job, due).status_code == 202
        agent.await_runs("guarded", 1)
        eventually(lambda: not agent.hermes.home.runs_in_progress(), "the end of the run")
    assert agent.hermes.runs("guarded") == len(agent.hermes.home.executions()) == 1
