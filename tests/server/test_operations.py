"""The contract's operations, to the letter: what is refused, how, and what is not."""

import asyncio
import gzip
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from nas_server import keys
from nas_server.metrics import Metrics
from nas_server.policy import HttpPolicy
from nas_server.store import MemoryStore, Store, StoreError
from nas_server.store.base import ALL, Counts, Which
from tests.support.nas_in_process import Hosted, eventually, hosted
from tests.support.patience import PATIENCE_S

PROVISION = "/api/agent-cron/provision"
CANCEL = "/api/agent-cron/cancel"
LIST = "/api/agent-cron/list"
AT = "2099-06-18T12:34:56.789+02:00"
GOOD = {
    "job_id": "9f86d081884c",
    "fire_at": AT,
    "agent_callback_url": "https://agent-7.example.com",
    "dedup_key": f"9f86d081884c:{AT}",
}


@pytest.fixture
async def nas() -> AsyncIterator[Hosted]:
    async with hosted(MemoryStore(), allow_private_callbacks=False) as running:
        yield running


def refused(answer: tuple[int, Any, dict[str, str]], status: int, code: str) -> str:
    """Check an error answer and return its description."""
    assert answer[0] == status, answer
    assert answer[1]["error"] == code
    assert answer[2]["Content-Type"].startswith("application/json")
    description: str = answer[1]["error_description"]
    return description


async def test_arm_list_replace_cancel(nas: Hosted) -> None:
    status, first, _ = await nas.call("POST", PROVISION, json=GOOD)
    assert (status, list(first)) == (200, ["schedule_id"])
    assert (await nas.call("POST", PROVISION, json=GOOD))[1] == first
    later = GOOD | {"fire_at": f"{AT[:4]}-12{AT[7:]}"}
    later["dedup_key"] = f"{later['job_id']}:{later['fire_at']}"
    _, second, _ = await nas.call("POST", PROVISION, json=later)
    assert second != first
    armed = {"job_id": later["job_id"], "fire_at": later["fire_at"], **second}
    assert (await nas.call("GET", LIST))[1] == {"armed": [armed]}
    await nas.cancel(GOOD["job_id"])
    await nas.cancel(GOOD["job_id"])
    assert (await nas.call("GET", LIST))[1] == {"armed": []}


async def test_an_agent_that_calls_too_often_waits_and_no_other() -> None:
    async with hosted(MemoryStore(), calls=2) as nas:
        for _ in range(120):
            assert (await nas.call("GET", LIST))[0] == 200
        answer = await nas.call("POST", PROVISION, json=GOOD)
        refused(answer, 429, "slow_down")
        assert answer[2]["Retry-After"] == "1"
        _, other = await nas.nas.accounts.add("other", None, 0)
        as_other = {"Authorization": f"Bearer {other}"}
        assert (await nas.call("GET", LIST, headers=as_other))[0] == 200
        nas.clock.now += 500
        assert [(await nas.call("GET", LIST))[0] for _ in range(2)] == [200, 429]


async def test_calls_need_not_be_limited() -> None:
    async with hosted(MemoryStore(), calls=0) as nas:
        assert {(await nas.call("GET", LIST))[0] for _ in range(60)} == {200}


async def test_unknown_members_are_ignored(nas: Hosted) -> None:
    status, _, _ = await nas.call("POST", PROVISION, json=GOOD | {"also": [1]})
    assert status == 200


async def test_a_charset_is_no_harm(nas: Hosted) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    body = json.dumps({"job_id": "x"}).encode()
    assert (await nas.call("POST", CANCEL, data=body, headers=headers))[0] == 200


def with_key(**changes: str) -> dict[str, str]:
    body = GOOD | changes
    return {"dedup_key": f"{body['job_id']}:{body['fire_at']}"} | body | changes


BAD_FIELDS = {
    "no job id": ("job_id", {k: v for k, v in GOOD.items() if k != "job_id"}),
    "no dedup key": ("dedup_key", {k: v for k, v in GOOD.items() if k != "dedup_key"}),
    "null": ("fire_at", GOOD | {"fire_at": None}),
    "number": ("job_id", GOOD | {"job_id": 12}),
    "boolean": ("agent_callback_url", GOOD | {"agent_callback_url": True}),
    "empty id": ("job_id", GOOD | {"job_id": ""}),
    "id with a slash": ("job_id", GOOD | {"job_id": "a/b"}),
    "id with a newline": ("job_id", GOOD | {"job_id": "job\n"}),
    "id too long": ("job_id", GOOD | {"job_id": "j" * 129}),
    "lone surrogate": ("job_id", GOOD | {"job_id": "\ud800"}),
    "no offset": ("fire_at", with_key(fire_at="2099-06-18T12:34:56")),
    "no such day": ("fire_at", with_key(fire_at="2099-02-30T12:34:56Z")),
    "no such month": ("fire_at", with_key(fire_at="2099-13-01T12:34:56Z")),
    "year zero": ("fire_at", with_key(fire_at="0000-01-01T12:34:56Z")),
    "leap second": ("fire_at", with_key(fire_at="2099-06-30T23:59:60Z")),
    "ten digits": ("fire_at", with_key(fire_at="2099-06-18T12:34:56.0123456789Z")),
    "other digits": ("fire_at", with_key(fire_at="２099-06-18T12:34:56Z")),
    "key of another job": ("dedup_key", GOOD | {"dedup_key": f"other:{AT}"}),
    "key of the same instant": (
        "dedup_key",
        GOOD | {"dedup_key": "9f86d081884c:2099-06-18T10:34:56.789Z"},
    ),
    "no scheme": ("agent_callback_url", GOOD | {"agent_callback_url": "agent.example.com"}),
    "other scheme": ("agent_callback_url", GOOD | {"agent_callback_url": "ftp://x.example"}),
    "query": ("agent_callback_url", GOOD | {"agent_callback_url": "https://x.example?a=1"}),
    "credentials": ("agent_callback_url", GOOD | {"agent_callback_url": "https://u:p@x.example"}),
    "port none": ("agent_callback_url", GOOD | {"agent_callback_url": "https://x.example:99999"}),
    "port zero": ("agent_callback_url", GOOD | {"agent_callback_url": "https://x.example:0"}),
    "no host": ("agent_callback_url", GOOD | {"agent_callback_url": "https://:443"}),
    "broken v6": ("agent_callback_url", GOOD | {"agent_callback_url": "https://[::1"}),
    "loopback": ("agent_callback_url", GOOD | {"agent_callback_url": "http://127.0.0.1:8080"}),
    "localhost": ("agent_callback_url", GOOD | {"agent_callback_url": "http://LocalHost:8080"}),
    "localhost with a dot": (
        "agent_callback_url",
        GOOD | {"agent_callback_url": "http://a.localhost.:1"},
    ),
    "private": ("agent_callback_url", GOOD | {"agent_callback_url": "http://10.1.2.3"}),
    "link local": ("agent_callback_url", GOOD | {"agent_callback_url": "http://169.254.169.254"}),
    "mapped": ("agent_callback_url", GOOD | {"agent_callback_url": "http://[::ffff:10.0.0.1]"}),
    "v6 local": ("agent_callback_url", GOOD | {"agent_callback_url": "http://[fd00::1]"}),
}


@pytest.mark.off_contract("request")
@pytest.mark.parametrize("case", BAD_FIELDS)
async def test_a_bad_field_is_named(nas: Hosted, case: str) -> None:
    field, body = BAD_FIELDS[case]
    answer = await nas.call("POST", PROVISION, json=body)
    assert refused(answer, 400, "invalid_request").startswith(f"{field}: ")
    assert await nas.armed() == {}


@pytest.mark.off_contract("request")
async def test_a_wrong_dedup_key_is_told_the_right_one_and_not_to_leave_it_out(nas: Hosted) -> None:
    answer = await nas.call("POST", PROVISION, json=GOOD | {"dedup_key": "other"})
    description = refused(answer, 400, "invalid_request")
    assert repr(GOOD["dedup_key"]) in description
    assert "leave" not in description


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"{job_id: x}",
    "cut off": b'{"job_id": "x"',
    "an array": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "not UTF-8": b'{"job_id": "\xff"}',
    "UTF-16": '{"job_id": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"job_id": "x"}',
    "NaN": b'{"job_id": "x", "n": NaN}',
    "infinity": b'{"job_id": "x", "n": -Infinity}',
    "given twice": b'{"job_id": "x", "job_id": "y"}',
    "twice within": b'{"job_id": "x", "n": {"a": 1, "a": 2}}',
    "deep arrays": b'{"job_id": "x", "n": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep objects": b'{"a": ' * 10_000,
    "a huge number": b'{"job_id": "x", "n": ' + b"9" * 60_000 + b"}",
    "too large": b'{"job_id": "x", "n": "' + b"n" * 70_000 + b'"}',
}


@pytest.mark.off_contract("request")
@pytest.mark.parametrize("case", BAD_BODIES)
@pytest.mark.parametrize("path", [PROVISION, CANCEL])
async def test_a_bad_body_is_a_400(nas: Hosted, case: str, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await nas.call("POST", path, data=BAD_BODIES[case], headers=headers)
    assert refused(answer, 400, "invalid_request").startswith("body: ")


@pytest.mark.off_contract("request")
async def test_a_body_of_another_type_is_a_400(nas: Hosted) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        body = json.dumps({"job_id": "x"}).encode()
        answer = await nas.call("POST", CANCEL, data=body, headers={"Content-Type": kind})
        assert refused(answer, 400, "invalid_request").startswith("Content-Type: ")


@pytest.mark.off_contract("request")
async def test_a_body_is_never_unpacked(nas: Hosted) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for body in (b"not gzip", gzip.compress(b'{"job_id": "x"}'), gzip.compress(b" " * 10**8)):
        answer = await nas.call("POST", CANCEL, data=body, headers=headers)
        assert refused(answer, 400, "invalid_request").startswith("Content-Encoding: ")


@pytest.mark.off_contract("request")
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Basic dTpw", "nas_token"])
async def test_without_a_bearer_token(nas: Hosted, given: str) -> None:
    answer = await nas.call("GET", LIST, headers={"Authorization": given})
    refused(answer, 401, "invalid_token")
    assert answer[2]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["unknown", "nas_\u00e4", "x" * 4_000, "a b"])
async def test_an_unknown_token(nas: Hosted, token: str) -> None:
    answer = await nas.call("GET", LIST, headers={"Authorization": f"Bearer {token}"})
    refused(answer, 401, "invalid_token")
    assert answer[2]["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_the_scheme_in_other_letters(nas: Hosted) -> None:
    status, _, _ = await nas.call("GET", LIST, headers={"Authorization": f"bEARER {nas.token}"})
    assert status == 200


async def test_a_rotated_token_is_void_at_once(nas: Hosted) -> None:
    old = nas.token
    _, nas.token = await nas.nas.accounts.rotate("agent")
    assert (await nas.call("GET", LIST))[0] == 200
    answer = await nas.call("GET", LIST, headers={"Authorization": f"Bearer {old}"})
    refused(answer, 401, "invalid_token")


@pytest.mark.off_contract("request")
async def test_a_revoked_agent_is_a_403_until_it_is_added_again(nas: Hosted) -> None:
    await nas.nas.accounts.revoke("agent")
    refused(await nas.call("GET", LIST), 403, "invalid_client")
    refused(await nas.call("POST", CANCEL, json={"job_id": "x"}), 403, "invalid_client")
    agent, nas.token = await nas.nas.accounts.add("agent", None, nas.clock())
    assert agent.instance_id == "i-1"
    assert (await nas.call("GET", LIST))[0] == 200


@pytest.mark.off_contract("request")
async def test_who_is_calling_is_asked_before_what(nas: Hosted) -> None:
    answer = await nas.call("POST", PROVISION, data=b"{", headers={"Authorization": "Bearer x"})
    refused(answer, 401, "invalid_token")


async def test_one_agent_never_sees_anothers(nas: Hosted) -> None:
    await nas.call("POST", PROVISION, json=GOOD)
    first, (_, nas.token) = nas.token, await nas.nas.accounts.add("other", None, nas.clock())
    assert await nas.armed() == {}
    await nas.cancel(GOOD["job_id"])
    nas.token = first
    assert list(await nas.armed()) == [GOOD["job_id"]]


@pytest.mark.off_contract("request")
async def test_other_paths_and_methods(nas: Hosted) -> None:
    refused(await nas.call("GET", "/"), 404, "not_found")
    refused(await nas.call("POST", "/api/agent-cron/lists"), 404, "not_found")
    answer = await nas.call("DELETE", PROVISION)
    refused(answer, 405, "method_not_allowed")
    assert answer[2]["Allow"] == "POST"


async def test_the_key_set(nas: Hosted) -> None:
    status, jwks, headers = await nas.call("GET", "/.well-known/jwks.json", headers={})
    (key,) = jwks["keys"]
    assert status == 200
    assert headers["Cache-Control"] == "public, max-age=60"
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", keys.ALGORITHM)


async def test_a_server_that_can_keep_nothing_is_not_ready(
    nas: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(nas.nas._store, "write", full)
    refused(await nas.call("GET", "/readyz"), 503, "temporarily_unavailable")
    assert (await nas.call("GET", "/healthz"))[0] == 200


async def test_a_server_that_stops_is_not_ready(nas: Hosted) -> None:
    await nas.nas.stop()
    refused(await nas.call("GET", "/readyz"), 503, "temporarily_unavailable")
    assert (await nas.call("GET", "/healthz"))[0] == 200


@pytest.mark.parametrize("name", ["next_due", "write"])
async def test_a_server_whose_store_hangs_says_so_soon(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    async with (
        hosted(store := MemoryStore(), http=HttpPolicy(ready_s=0.05)) as nas,
        asyncio.timeout(PATIENCE_S),
    ):
        monkeypatch.setattr(store, name, hang)
        refused(await nas.call("GET", "/readyz"), 503, "temporarily_unavailable")


async def scraped(nas: Hosted) -> list[str]:
    async with nas.client.get(f"{nas.url}/metrics") as response:
        assert response.status == 200
        return (await response.text()).splitlines()


async def test_health_and_metrics(nas: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    async def counts(now: int) -> Counts:
        return Counts(armed=3, due=2, dead=1)

    monkeypatch.setattr(nas.nas._counts, "_count", counts)
    await nas.call("POST", PROVISION, json=GOOD)
    assert (await nas.call("GET", "/healthz"))[:2] == (200, {"status": "ok"})
    assert (await nas.call("GET", "/readyz"))[:2] == (200, {"status": "ready"})
    assert {
        'nas_one_shots{state="armed"} 3.0',
        'nas_one_shots{state="due"} 2.0',
        'nas_one_shots{state="dead"} 1.0',
        "nas_store_up 1.0",
        'nas_requests_total{operation="provision",status="200"} 1.0',
    } <= set(await scraped(nas))


def test_every_line_of_the_metrics() -> None:
    metrics, now = Metrics(), 1_000_000
    for status in (200, 200, 404):
        metrics.answered("list", status)
    for lateness_ms in (400, 1_500, None):
        metrics.began(lateness_ms)
    metrics.ended("202")

    def lines(counts: Counts | None, *, up: bool) -> dict[str, float]:
        text = metrics.render(counts, up=up, now=now).decode()
        told = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in told if "_created" not in name}

    parts = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
    within = [*map(str, parts), "+Inf"]
    usual = {
        'nas_requests_total{operation="list",status="200"}': 2,
        'nas_requests_total{operation="list",status="404"}': 1,
        'nas_fire_attempts_total{outcome="202"}': 1,
        **{
            f'nas_fire_lateness_seconds_bucket{{le="{s}"}}': (float(s) > 0.4) + (float(s) > 1.5)
            for s in within
        },
        "nas_fire_lateness_seconds_count": 2,
        "nas_fire_lateness_seconds_sum": 1.9,
        "nas_deliveries_under_way": 2,
    }
    held = {
        'nas_one_shots{state="armed"}': 7,
        'nas_one_shots{state="due"}': 2,
        'nas_one_shots{state="dead"}': 3,
    }
    counts = Counts(armed=7, due=2, dead=3, oldest_due_ms=now - 1_500)
    assert lines(counts, up=True) == {
        **usual,
        **held,
        "nas_overdue": 2,
        "nas_overdue_oldest_seconds": 1.5,
        "nas_store_up": 1,
    }
    assert lines(Counts(armed=7, due=0, dead=3), up=False) == {
        **usual,
        **held,
        'nas_one_shots{state="due"}': 0,
        "nas_overdue": 0,
        "nas_overdue_oldest_seconds": 0,
        "nas_store_up": 0,
    }
    unknown = lines(None, up=True)
    assert math.isnan(unknown.pop("nas_overdue"))
    assert unknown == {**usual, "nas_overdue_oldest_seconds": 0, "nas_store_up": 0}


@pytest.mark.parametrize("hangs", [False, True])
async def test_metrics_are_there_when_the_store_is_not(
    monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    async with hosted(MemoryStore(), http=HttpPolicy(count_s=0.05)) as nas:
        await _metrics_without_store(nas, monkeypatch, hangs=hangs)


async def _metrics_without_store(
    nas: Hosted, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    async def away(*_: object) -> None:
        if hangs:
            await asyncio.Event().wait()
        raise StoreError("away")

    await nas.call("POST", PROVISION, json=GOOD)
    assert 'nas_one_shots{state="armed"} 1.0' in await scraped(nas)
    nas.advance(5_000)
    monkeypatch.setattr(nas.nas._counts, "_count", away)
    async with asyncio.timeout(PATIENCE_S):
        lines = await scraped(nas)
    assert {"nas_store_up 0.0", 'nas_requests_total{operation="provision",status="200"} 1.0'} <= {
        *lines
    }
    assert not [line for line in lines if line.startswith("nas_one_shots{")]


class CountingStore(MemoryStore):
    """A store that counts only when it is let, and remembers how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.go_on = asyncio.Event()

    async def counts(self, now: int, which: Which = ALL) -> Counts:
        self.asked += 1
        await self.go_on.wait()
        return Counts(armed=self.asked, due=0, dead=0)


async def test_the_one_shots_are_counted_once_for_all_who_ask_for_metrics() -> None:
    store = CountingStore()
    async with hosted(store) as nas:

        async def armed() -> str:
            async with nas.client.get(f"{nas.url}/metrics") as response:
                lines = (await response.text()).splitlines()
            return next(line for line in lines if line.startswith('nas_one_shots{state="armed"}'))

        async def arrived() -> bool:
            return store.asked > 0

        asking = [asyncio.ensure_future(armed()) for _ in range(5)]
        await eventually(arrived)
        store.go_on.set()
        assert {line[-3:] for line in await asyncio.gather(*asking)} == {"1.0"}
        nas.advance(5_000 - 1)
        assert (await armed())[-3:] == "1.0"
        nas.advance(1)
        assert (await armed())[-3:] == "2.0"
        nas.advance(-60_000)
        assert (await armed())[-3:] == "3.0"


class BrokenStore(MemoryStore):
    """A store whose medium has failed."""

    async def provision(self, *_: object) -> str:
        raise StoreError("disk /secret/path is full")

    async def cancel(self, *_: object) -> None:
        raise RuntimeError("a bug")


async def test_a_store_that_fails_is_a_503_and_a_bug_a_500() -> None:
    broken: Store = BrokenStore()
    async with hosted(broken) as nas:
        answer = await nas.call("POST", PROVISION, json=GOOD)
        assert "disk" not in refused(answer, 503, "temporarily_unavailable")
        assert int(answer[2]["Retry-After"]) > 0
        answer = await nas.call("POST", CANCEL, json={"job_id": "x"})
        assert "bug" not in refused(answer, 500, "server_error")


@pytest.mark.off_contract("request")
async def test_a_caller_that_hangs_up_midway_harms_nobody(nas: Hosted) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"job_id"'
        raise aiohttp.ClientConnectionError

    headers = {"Content-Type": "application/json"}
    with pytest.raises(aiohttp.ClientError):
        await nas.call("POST", CANCEL, data=body(), headers=headers)
    assert await nas.armed() == {}
