"""The fixture that holds every exchange against the contract, made to go red."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from tests.support.contract import the_contract
from tests.support.exchange import Exchange, from_line, to_line

BASE = "https://nas.example.com/base/api/agent-cron"
FIRE = "https://agent-7.example.com/api/cron/fire"
TOKEN = {"authorization": "Bearer t", "content-type": "application/json"}
JSON = {"content-type": "application/json; charset=utf-8"}
ARM = (
    b'{"job_id": "j1", "fire_at": "2026-06-18T12:34:56Z",'
    b' "agent_callback_url": "https://agent-7.example.com",'
    b' "dedup_key": "j1:2026-06-18T12:34:56Z"}'
)
FIRED = b'{"job_id": "j1", "fire_at": "2026-06-18T12:34:56Z"}'


def provision(**changes: object) -> Exchange:
    good: dict[str, object] = {
        "method": "POST",
        "url": f"{BASE}/provision",
        "request_headers": TOKEN,
        "request_body": ARM,
        "status": 200,
        "response_headers": JSON,
        "response_body": b'{"schedule_id": "os_1"}',
    }
    return Exchange(**{**good, **changes})  # type: ignore[arg-type]


def fire(**changes: object) -> Exchange:
    good = {
        "url": FIRE,
        "request_body": FIRED,
        "status": 202,
        "response_body": b'{"status": "accepted", "job_id": "j1"}',
    }
    return provision(**{**good, **changes})


@pytest.mark.parametrize(
    "exchange",
    [
        provision(),
        provision(response_headers={"content-type": "application/json", "x-extra": "1"}),
        provision(status=None),
        provision(response_body=None),
        provision(request_body=None),
        provision(status=503, response_body=b'{"error": "server_error"}'),
        provision(
            method="GET", url=f"{BASE}/list", request_body=b"", response_body=b'{"armed":[]}'
        ),
        fire(),
        fire(status=200, response_body=b'{"status": "gone", "job_id": "j1"}'),
        fire(status=200, response_body=b'{"status": "duplicate", "job_id": "j1"}'),
        fire(
            status=200,
            response_body=b'{"status": "gateway_stopped", "job_id": "j1", "profile": "p"}',
        ),
        fire(
            status=503,
            response_headers={"content-type": "application/json", "retry-after": "60"},
            response_body=b'{"error": "hermes is paused", "job_id": "j1"}',
        ),
        fire(status=503, response_headers={}, response_body=b""),
    ],
)
def test_what_keeps_the_contract_passes(exchange: Exchange) -> None:
    violations = the_contract().violations(exchange)
    assert (violations.request, violations.response) == ([], [])


@pytest.mark.parametrize(
    ("exchange", "words"),
    [
        (provision(request_headers=JSON), "Security"),
        (provision(request_headers={"authorization": "Bearer t"}), "ontent"),
        (provision(request_body=b""), "body"),
        (provision(request_body=b"{"), "not JSON"),
        (provision(request_body=ARM.replace(b'"j1"', b'""')), "$.job_id"),
        (provision(request_body=ARM.replace(b"56Z", b"56")), "$.fire_at"),
        (provision(request_body=ARM.replace(b'"dedup_key"', b'"dedup"')), "dedup_key"),
        (provision(request_body=ARM.replace(b"https://agent", b"ftp://agent")), "callback_url"),
        (provision(method="PUT"), "no operation"),
        (provision(url=f"{BASE}/provisions"), "no operation"),
        (fire(request_headers=JSON), "Security"),
        (fire(request_body=FIRED.replace(b"j1", b"")), "$.job_id"),
    ],
)
def test_a_broken_request_is_told(exchange: Exchange, words: str) -> None:
    violations = the_contract().violations(exchange)
    assert words in "\n".join(violations.request)
    assert violations.response == []


@pytest.mark.parametrize(
    ("exchange", "words"),
    [
        (provision(status=201), "201"),
        (provision(status=404), "404"),
        (provision(response_body=b""), "data"),
        (provision(response_body=b"{}"), "schedule_id"),
        (provision(response_body=b"[]"), "is not of type 'object'"),
        (provision(response_body=b'{"schedule_id": 7}'), "$.schedule_id"),
        (provision(response_body=b"{"), "not JSON"),
        (provision(response_headers={"content-type": "text/html"}), "text/html"),
        (provision(status=403, response_body=b'{"error": ""}'), "$.error"),
        (
            provision(
                status=429,
                response_headers={**JSON, "retry-after": "9" * 65},
                response_body=b'{"error": "slow_down"}',
            ),
            "Retry-After",
        ),
        (fire(status=404), "404"),
        (fire(response_body=b'{"status": "gone", "job_id": "j1"}'), "$.status"),
        (fire(status=401, response_body=b"{}"), "error"),
    ],
)
def test_a_broken_response_is_told(exchange: Exchange, words: str) -> None:
    violations = the_contract().violations(exchange)
    assert violations.request == []
    assert words in "\n".join(violations.response)


def test_a_verdict_that_is_remembered_is_not_another_exchange_s() -> None:
    """The first of a kind is judged by another path than those after it."""
    contract = the_contract()
    assert contract.violations(provision(response_body=b"{}")).response
    assert not contract.violations(provision()).response
    assert contract.violations(provision(response_body=b"{}")).response
    assert contract.violations(provision(request_headers=JSON)).request
    assert not contract.violations(provision()).request


def test_what_the_contract_does_not_speak_of_is_left_alone() -> None:
    contract = the_contract()
    assert not contract.covers(Exchange("GET", "https://nas.example.com/.well-known/jwks.json"))
    assert not contract.covers(Exchange("GET", FIRE))
    assert contract.covers(Exchange("DELETE", f"{BASE}/anything"))


def test_an_exchange_survives_the_way_between_processes() -> None:
    exchange = provision(response_body=b"\xff\x00", request_body=None)
    assert from_line(to_line(exchange)) == exchange


# A whole pytest inside this one, with the fixture that no test asks for.

HEAD = """
import aiohttp
import aiohttp.web
import httpx
import pytest

from tests.contract.test_exchanges import ARM, BASE, FIRE, FIRED, TOKEN

GOOD = b'{"schedule_id": "os_1"}'

def answer(status=200, body=GOOD, kind="application/json", **more):
    return lambda request: httpx.Response(
        status, headers={"content-type": kind}, content=body, **more
    )

def arm(handler, body=ARM, headers=TOKEN):
    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        return client.post(f"{BASE}/provision", content=body, headers=headers)

def chunks(body):
    yield body
"""


def run(pytester: pytest.Pytester, source: str) -> pytest.RunResult:
    pytester.makeconftest('pytest_plugins = ["tests.support.contract_fixture"]')
    pytester.makepyfile(textwrap.dedent(HEAD) + textwrap.dedent(source))
    options = ["-p", "no:cacheprovider", "--assert=plain", "-o", "asyncio_mode=auto"]
    scope = "asyncio_default_fixture_loop_scope=function"
    return pytester.runpytest_inprocess(*options, "-o", scope)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("arm(answer(), body=b'{}')", "request: $: 'job_id' is a required property"),
        ("arm(answer(), headers={'content-type': 'application/json'})", "request: Security"),
        ("arm(answer(body=b'{}'))", "response: $: 'schedule_id' is a required property"),
        ("arm(answer(status=418))", "418"),
        ("arm(answer(body=chunks(b'{}')))", "response: $: 'schedule_id' is a required property"),
    ],
)
def test_a_planted_violation_turns_a_test_red(
    pytester: pytest.Pytester, call: str, words: str
) -> None:
    result = run(pytester, f"def test_one(): {call}\ndef test_two(): arm(answer())")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*exchanges that break the contract*", f"*{words}*"])


def test_an_asynchronous_client_is_seen(pytester: pytest.Pytester) -> None:
    source = """
    async def test_one():
        async def handler(request):
            return httpx.Response(200, json={})
        transport = httpx.MockTransport(handler)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.post(f"{BASE}/provision", content=ARM, headers=TOKEN)
    """
    result = run(pytester, source)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*schedule_id*", "*exchanges held against the contract: *"])


@pytest.mark.parametrize("broken", ["request", "response"])
def test_an_aiohttp_client_and_server_are_seen(pytester: pytest.Pytester, broken: str) -> None:
    source = f"""
    async def test_one():
        async def handler(request):
            await request.read()
            job = {{"status": "accepted", "job_id": "" if {broken == "response"} else "j1"}}
            return aiohttp.web.json_response(job, status=202)
        app = aiohttp.web.Application()
        app.router.add_post("/api/cron/fire", handler)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{{runner.addresses[0][1]}}/api/cron/fire"
        body = b"{{}}" if {broken == "request"} else FIRED
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=body, headers=TOKEN) as response:
                assert response.status == 202
                assert (await response.json())["status"] == "accepted"
        await runner.cleanup()
    """
    result = run(pytester, source)
    result.assert_outcomes(passed=1, errors=1)
    for who in ("server", "client"):
        result.stdout.fnmatch_lines([f"*/api/cron/fire -> 202 (seen by an aiohttp {who})"])
    result.stdout.fnmatch_lines([f"  {broken}: $*"])


def test_the_broken_side_alone_is_exempt(pytester: pytest.Pytester) -> None:
    source = """
    @pytest.mark.off_contract("request")
    def test_exempt(): arm(answer(), body=b"{}")

    @pytest.mark.off_contract("response")
    def test_other_side(): arm(answer(), body=b"{}")

    def test_fault(): arm(answer(body=b"", status=418, extensions={"nas_sdk.fault": True}))

    def test_fault_and_bad_request():
        arm(answer(body=b"", extensions={"nas_sdk.fault": True}), body=b"{}")

    @pytest.mark.off_contract
    def test_no_side(): arm(answer())
    """
    result = run(pytester, source)
    result.assert_outcomes(passed=4, errors=3)
    result.stdout.fnmatch_lines_random(
        [
            "ERROR *::test_other_side*",
            "ERROR *::test_fault_and_bad_request*",
            "ERROR *::test_no_side*",
        ]
    )


HTTPX_PROGRAM = """
import httpx
from tests.contract.test_exchanges import ARM, BASE, TOKEN
transport = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
httpx.Client(transport=transport).post(f"{BASE}/provision", content=ARM, headers=TOKEN)
"""
AIOHTTP_PROGRAM = """
import asyncio
import aiohttp
from aiohttp import web
from tests.contract.test_exchanges import ARM, TOKEN

async def provision(request):
    await request.read()
    return web.json_response({})

async def main():
    app = web.Application()
    app.router.add_post("/api/agent-cron/provision", provision)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/agent-cron/provision"
    async with aiohttp.ClientSession() as session, session.post(url, data=ARM, headers=TOKEN):
        pass
    await runner.cleanup()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("program", "seen_by"),
    [
        (HTTPX_PROGRAM, ["httpx"]),
        (AIOHTTP_PROGRAM, ["an aiohttp client", "an aiohttp server"]),
    ],
)
def test_the_exchanges_of_a_subprocess_are_judged(
    pytester: pytest.Pytester, program: str, seen_by: list[str]
) -> None:
    file = pytester.path / "program.py"
    file.write_text(program)
    source = f"""
    import subprocess, sys

    def test_one(): subprocess.run([sys.executable, {str(file)!r}], check=True)

    def test_two(): arm(answer())
    """
    result = run(pytester, source)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["ERROR *::test_one*"])
    for who in seen_by:
        result.stdout.fnmatch_lines_random([f"*-> 200 (seen by {who})"])
    # pytest repeats the error in its summary, cut to a line unless it knows of a CI.
    told, _, _ = str(result.stdout).partition("short test summary")
    assert told.count("'schedule_id' is a required") == len(seen_by)


def test_a_subprocess_without_the_variable_is_left_alone(tmp_path: Path) -> None:
    plain = {k: v for k, v in os.environ.items() if k != "NAS_CONTRACT_CAPTURE"}
    program = "import sys; print([type(f).__name__ for f in sys.meta_path])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=plain, capture_output=True, text=True, check=True
    )
    assert "_AfterImport" not in done.stdout


def test_taps_leave_a_client_s_own_view_alone() -> None:
    """A streamed response is still a stream, and says how long it took."""
    with httpx.Client(transport=httpx.MockTransport(lambda _: _streamed())) as client:
        with client.stream("GET", f"{BASE}/list", headers=TOKEN) as response:
            assert list(response.iter_bytes()) == [b'{"armed"', b": []}"]
        assert response.elapsed.total_seconds() >= 0


def _streamed() -> httpx.Response:
    parts = iter([b'{"armed"', b": []}"])
    return httpx.Response(200, headers=JSON, content=parts)
