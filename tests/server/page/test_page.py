"""What the page is told, and what it may do."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server import history
from nas_server.page import files
from nas_server.page.contract import contract_html, render
from nas_server.policy import PagePolicy
from nas_server.store import MemoryStore, Store, TooManyError
from tests.server.page.conftest import Admin, administered
from tests.support.agent_stub import agent_stub
from tests.support.durations import DAY
from tests.support.nas_in_process import eventually

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
MINUTE = 60_000


def shot(admin: Admin, job: str, in_ms: int, agent: str = "agent") -> StoredOneShot:
    now = admin.nas.clock.now
    at = format_instant(now + in_ms)
    url = "http://127.0.0.1:9"
    return one_shot.fresh(agent, job, at, url, f"{job}:{at}", one_shot.new_schedule_id(), now)


async def told(admin: Admin, what: str) -> dict[str, Any]:
    """What the page shows once there is something of that kind."""
    seen: list[dict[str, Any]] = []

    async def is_told() -> bool:
        seen.append(await admin.state())
        return bool(seen[-1][what]["rows"])

    await eventually(is_told)
    return seen[-1]


async def test_it_shows_what_every_store_keeps(store: Store) -> None:
    async with administered(store) as admin:
        await admin.log_in()
        now = admin.nas.clock.now
        await store.provision(shot(admin, "soon", MINUTE), now)
        await store.provision(shot(admin, "later", 90 * MINUTE, "other"), now)
        async with agent_stub(admin.nas.clock) as agent:
            await admin.nas.provision("fires", 0, agent.url)
            await agent.until(1)
            state = await told(admin, "attempts")
        assert [(one["job_id"], one["state"]) for one in state["armed"]["rows"]] == [
            ("soon", "armed"),
            ("later", "armed"),
        ]
        (attempt,) = state["attempts"]["rows"]
        assert (attempt["job_id"], attempt["answer"], attempt["then"]) == ("fires", "202", "done")
        assert state["lateness"] == {"of": 1, "p50_ms": 0, "p99_ms": 0, "worst_ms": 0}
        lanes = [(lane["agent"], lane["bins"]) for lane in state["timeline"]["lanes"]]
        assert lanes == [("agent", [[0, 1]]), ("other", [[18, 1]])]
        assert [one["job_id"] for one in (await admin.state("agent=other"))["armed"]["rows"]] == [
            "later"
        ]


async def test_the_dead_are_shown_with_their_reason_and_raised_again() -> None:
    store = MemoryStore()
    async with administered(store) as admin:
        await admin.log_in()
        one = shot(admin, "job", MINUTE)  # before its time the relay does not touch it
        start = one.due_ms
        await store.provision(one, start)
        for at in (start, start + DAY):
            (held,) = await store.due(at, 1)
            late = DeliveryResult(
                ended=False, note="timeout: no answer in time", retry_after_ms=10**9
            )
            await store.settle(held, late, at)
        (dead,) = (await admin.state())["dead"]["rows"]
        assert (dead["state"], dead["last_answer"], dead["attempts"]) == (
            "dead",
            "timeout: no answer in time",
            2,
        )
        assert await admin.change("fire", dead) == 200
        state = await admin.state()
        assert state["dead"]["rows"] == []
        assert [one["job_id"] for one in state["armed"]["rows"]] == ["job"]


async def test_fire_now_and_cancel(store: Store) -> None:
    async with administered(store) as admin, agent_stub(admin.nas.clock) as agent:
        await admin.log_in()
        await admin.nas.provision("job", MINUTE, agent.url)
        (one,) = (await admin.state())["armed"]["rows"]
        assert await admin.change("fire", one) == 200
        await agent.until(1)
        state = await told(admin, "attempts")
        assert state["attempts"]["rows"][0]["then"] == history.EARLY
        assert await admin.nas.armed() == {"job": one["schedule_id"]}
        assert await admin.change("cancel", one) == 200
        assert await admin.nas.armed() == {}
        assert [await admin.change(what, one) for what in ("fire", "cancel")] == [409, 409]


async def test_a_change_is_about_the_one_shot_that_was_seen(admin: Admin) -> None:
    await admin.log_in()
    await admin.nas.provision("job", MINUTE, "http://127.0.0.1:9")
    (seen,) = (await admin.state())["armed"]["rows"]
    replaced = await admin.nas.provision("job", 2 * MINUTE, "http://127.0.0.1:9")
    assert await admin.change("cancel", seen) == 409
    assert await admin.nas.armed() == {"job": replaced}


@pytest.mark.parametrize("query", ["hours=0", "hours=100000", "armed=-1", "attempts=x", "dead=²"])
async def test_what_cannot_be_shown_is_refused(admin: Admin, query: str) -> None:
    await admin.log_in()
    answer = await admin.ask("GET", f"state?{query}")
    assert answer.status == 400


HALF = b'{"agent": "\\ud800", "job_id": "j", "schedule_id": "s"}'


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"agent": 1}', b'{"agent": "a", "job_id": "j"}', HALF]
)
async def test_a_change_of_nothing_is_refused(admin: Admin, body: bytes) -> None:
    await admin.log_in()
    json_body = {"Content-Type": "application/json"}
    assert (await admin.ask("POST", "fire", data=body, headers=json_body)).status == 400


async def test_ten_thousand_armed_are_shown_in_parts() -> None:
    store = MemoryStore()
    async with administered(store) as admin:
        await admin.log_in()
        now = admin.nas.clock.now
        for n in range(10_000):
            one = shot(admin, f"job{n:05}", MINUTE + n, f"agent{n % 50:02}")
            await store.provision(one, now)
        text = await (await admin.ask("GET", "state")).text()
        assert len(text) < 20_000
        state = json.loads(text)
        assert state["armed"]["of"] == 5_000
        assert not state["armed"]["whole"]
        assert [one["job_id"] for one in state["armed"]["rows"]] == [
            f"job{n:05}" for n in range(20)
        ]
        page = (await admin.state("armed=40"))["armed"]
        assert page["rows"][0]["job_id"] == "job00040"
        assert len(state["timeline"]["lanes"]) == 12
        assert state["timeline"]["others"] == 3_800
        mine = (await admin.state("agent=agent07"))["armed"]
        assert (mine["of"], mine["whole"]) == (200, True)


async def test_attempts_and_the_dead_are_shown_in_parts() -> None:
    store = MemoryStore()
    async with administered(store, page=PagePolicy(dead=22)) as admin:
        await admin.log_in()
        start = admin.nas.clock.now + MINUTE  # before its time the relay does not touch one
        for n in range(25):
            await store.provision(shot(admin, f"job{n:02}", MINUTE), start)
        for at in (start, start + DAY):
            failed = DeliveryResult(ended=False, note="503", retry_after_ms=10**9)
            for n, held in enumerate(await store.due(at, 100)):
                await store.settle(held, failed, at + n)
        first, rest = await admin.state(), await admin.state("attempts=20&dead=20")
        for name, of, whole in (("attempts", 50, True), ("dead", 22, False)):
            assert (first[name]["of"], first[name]["whole"], first[name]["offset"]) == (
                of,
                whole,
                0,
            )
            assert rest[name]["offset"] == 20
            rows = first[name]["rows"] + rest[name]["rows"]
            shown = [(one["schedule_id"], one.get("number")) for one in rows]
            assert len(set(shown)) == len(shown) == min(of, 40)
        assert first["armed"]["rows"] == []


async def test_a_store_that_does_not_sort_so_many_still_shows_agents() -> None:
    class Vast(MemoryStore):
        async def upcoming(self, limit: int) -> list[StoredOneShot]:
            raise TooManyError("too many")

    store = Vast()
    async with administered(store) as admin:
        await admin.log_in()
        await store.provision(shot(admin, "job", MINUTE), admin.nas.clock.now)
        assert (await admin.state())["too_many"]
        mine = await admin.state("agent=agent")
        assert (mine["armed"]["of"], mine["too_many"]) == (1, False)


async def test_the_store_is_asked_once_for_all_who_look() -> None:
    page = PagePolicy(fresh_s=3_600.0)
    asked: list[int] = []

    class Counting(MemoryStore):
        async def upcoming(self, limit: int) -> list[StoredOneShot]:
            asked.append(limit)
            return await super().upcoming(limit)

    async with administered(Counting(), page=page) as admin:
        await admin.log_in()
        for _ in range(3):
            await admin.state()
        assert len(asked) == 1
        one = {"agent": "a", "job_id": "j", "schedule_id": "os"}
        await admin.change("cancel", one)
        await admin.state()
        assert len(asked) == 2


async def test_what_was_gathered_does_not_pile_up() -> None:
    page = PagePolicy(fresh_s=3_600.0, views=2)
    asked: list[str] = []

    class Counting(MemoryStore):
        async def armed(self, agent: str) -> list[StoredOneShot]:
            asked.append(agent)
            return await super().armed(agent)

    async with administered(Counting(), page=page) as admin:
        await admin.log_in()
        for agent in "ababcca":
            await admin.state(f"agent={agent}")
    assert asked == ["a", "b", "c", "a"]


async def test_the_page_fetches_nothing_from_elsewhere(admin: Admin) -> None:
    await admin.log_in()
    pages = [await (await admin.ask("GET", each)).text() for each in ("", "login", "contract")]
    pages += [files.read(name) for name in files.TYPES]
    for text in pages:
        outside = re.findall(
            r"""(?:src|href|url\(|from|import)\s*=?\s*["'(]?\s*(?:https?:)?//""", text
        )
        assert outside == []
        assert "<style" not in text
        assert "style=" not in text
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=", text)


async def test_files_are_known_by_their_tag(admin: Admin) -> None:
    first = await admin.ask("GET", "static/page.css")
    assert first.content_type == "text/css"
    again = {"If-None-Match": first.headers["ETag"]}
    assert (await admin.ask("GET", "static/page.css", headers=again)).status == 304
    for name in ("login.html", "nothing.js", "..%2froutes.py"):
        assert (await admin.ask("GET", f"static/{name}")).status == 404


async def test_the_page_is_found_without_the_slash(admin: Admin) -> None:
    async with admin.client.get(f"{admin.nas.url}/admin", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "admin/")


async def test_it_says_when_the_store_fails() -> None:
    class Failing(MemoryStore):
        async def dead(self, now: int, limit: int, agent: str | None = None) -> list[StoredOneShot]:
            from nas_server.store import StoreError

            raise StoreError("gone")

    async with administered(Failing()) as admin:
        await admin.log_in()
        answer = await admin.ask("GET", "state")
        assert (answer.status, (await answer.json())["error"]) == (503, "temporarily_unavailable")


class Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name == "href" and value:
                self.links.add(value)


def test_the_contract_is_shown_whole_and_its_links_lead_somewhere() -> None:
    page = contract_html()
    for name in ("provision", "cancel", "list", "cronFire", "ProvisionRequest", "fire_at"):
        assert name in page
    anchors = Anchors()
    anchors.feed(page)
    assert {link.removeprefix("#") for link in anchors.links} <= anchors.ids
    assert anchors.links
    assert "$ref" not in page
    assert "**" not in page


def test_nothing_in_the_contract_is_markup() -> None:
    operation = {
        "operationId": HOSTILE,
        "summary": HOSTILE,
        "description": f"{HOSTILE}\n\n- {HOSTILE}\n- `{HOSTILE}` **{HOSTILE}**",
        "requestBody": {"content": {"x": {"schema": {"type": HOSTILE, "enum": [HOSTILE]}}}},
        "responses": {HOSTILE: {"description": HOSTILE}},
    }
    schema = {"properties": {HOSTILE: {"description": HOSTILE, "pattern": HOSTILE}}}
    spec = {
        "info": {"title": HOSTILE, "version": HOSTILE, "description": HOSTILE},
        "paths": {HOSTILE: {HOSTILE: operation}},
        "webhooks": {},
        "components": {
            "securitySchemes": {HOSTILE: {"description": HOSTILE}},
            "schemas": {HOSTILE: schema},
        },
    }
    page = render(spec)
    assert "<img" not in page
    assert "\"'&" not in page


async def test_it_shows_which_credential_armed_a_one_shot(admin: Admin) -> None:
    await admin.log_in()
    await admin.nas.provision("before", 60_000, "http://127.0.0.1:9")
    _, admin.nas.token = await admin.nas.nas.accounts.rotate("agent")
    await admin.nas.provision("after", 60_000, "http://127.0.0.1:9")
    rows = (await admin.state())["armed"]["rows"]
    shown = {row["job_id"]: (row["credential"], row["credential_now"]) for row in rows}
    assert shown == {"before": (1, 2), "after": (2, 2)}
