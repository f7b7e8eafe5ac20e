"""What the page is told, and what it may do."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server import history
from nas_server.page import files
from nas_server.page.access import Access
from nas_server.page.chart import lateness_chart
from nas_server.page.contract import contract_html, render
from nas_server.page.facts import lateness
from nas_server.page.timeline import timeline
from nas_server.policy import PagePolicy
from nas_server.store import Counts, MemoryStore, SqliteStore, Store, TooManyError, Which
from nas_server.store.base import ALL, AgentHistogram, Histogram
from tests.server.page.conftest import Admin, administered
from tests.support.agent_stub import agent_stub
from tests.support.agent_stub import held as held_until
from tests.support.durations import DAY
from tests.support.nas_in_process import eventually

PAGE = 20
HOSTILE = "<img src=x onerror=alert(1)>\"'&"
MINUTE = 60_000


def shot(admin: Admin, job: str, in_ms: int, agent: str = "agent") -> StoredOneShot:
    now = admin.nas.clock.now
    at = format_instant(now + in_ms)
    url = "http://127.0.0.1:9"
    return one_shot.fresh(agent, job, at, url, f"{job}:{at}", one_shot.new_schedule_id(), now)


def begun(at: int, late: int, number: int = 1) -> history.Attempt:
    return history.Attempt("a", "j", "s", "", 0, number, at - late, at, 10**15, "202", "done")


async def told(admin: Admin, what: str) -> dict[str, Any]:
    """What the page shows once there is something of that kind, and nothing fires any more."""

    async def is_told() -> bool:
        # A page is read part by part, and a delivery may end in between.
        state = await admin.state()
        firing = [one for one in state["armed"]["rows"] if one["state"] == "firing"]
        # The figures are kept for a moment, longer than that on a busy machine.
        is_counted = what != "attempts" or state["lateness"]["of"]
        return bool(state[what]["rows"] and is_counted) and not firing

    await eventually(is_told)
    return await admin.state()


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
        rows = [(each["agent"], each["bins"]) for each in state["timeline"]["agents"]]
        assert rows == [("agent", [[0, 1]]), ("other", [[18, 1]])]
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


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, (0, None, None, None)),
        (1, (1, 1, 1, 1)),
        (2, (2, 1, 1, 2)),
        (101, (101, 51, 100, 101)),
        (1_001, (1_001, 501, 991, 1_001)),
    ],
)
def test_how_late_first_attempts_were(count: int, told: tuple[int | None, ...]) -> None:
    firsts = [begun(7, late) for late in range(count, 0, -1)]
    seconds = [begun(7, 10**6, number=2)] * count
    assert attrs.astuple(lateness(firsts + seconds)) == told


def test_the_chart_has_the_worst_and_the_median_of_each_half_hour() -> None:
    now = 10 * DAY
    within = [(now, 10), (now, 1_000), (now - 1, 60_000), (now - DAY + 1, 1_000)]
    without = [begun(at, 7) for at in (now - DAY, now + 1)] + [begun(now, 7, number=2)]
    chart = lateness_chart([*(begun(at, late) for at, late in within), *without], now)
    height = dict(re.findall(r'y="([\d.]+%)" dy="-3">([^<]+)<', chart))
    bar = r'<rect class="(\w+)" x="([\d.]+%)" width="1\.667%" y="([\d.]+%)"[^>]+><title>([^<]+)<'
    bars = [(kind, x, height[y], said) for kind, x, y, said in re.findall(bar, chart)]
    old = "up to 24 h ago: 1 first attempts, median 1000 ms, worst 1000 ms"
    new = "up to 0.5 h ago: 3 first attempts, median 1000 ms, worst 60000 ms"
    assert bars == [
        ("worst", "0.000%", "1 s", old),
        ("median", "0.000%", "1 s", old),
        ("worst", "97.917%", "1 min", new),
        ("median", "97.917%", "1 s", new),
    ]
    assert "4 first attempts, median 1000 ms, worst 60000 ms" in chart


@pytest.mark.parametrize(("armed", "beyond"), [(10, 3), (7, 0), (5, 0)])
def test_what_fires_later_than_the_timeline_goes_is_counted(armed: int, beyond: int) -> None:
    found = Histogram([AgentHistogram("a", 7, {5: 1, 0: 2})], 4)
    assert timeline(found, 7, 6, armed) == {
        "from_ms": 7,
        "to_ms": 7 + 6 * 60 * MINUTE,
        "bins": 72,
        "agents": [{"agent": "a", "armed": 3, "next_ms": 7, "bins": [(0, 2), (5, 1)]}],
        "others": 4,
        "beyond": beyond,
    }


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


@pytest.fixture(params=["memory", "sqlite"])
async def local(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store of one machine, which puts any number in order."""
    if request.param == "memory":
        yield MemoryStore()
        return
    store = await SqliteStore.open(tmp_path / "nas.db")
    yield store
    await store.close()


async def arm_many(admin: Admin, store: Store, count: int) -> None:
    now = admin.nas.clock.now
    ones = [shot(admin, f"job{n:05}", MINUTE + n, f"agent{n % 50:02}") for n in range(count)]
    for start in range(0, count, 1_000):
        await asyncio.gather(*(store.provision(one, now) for one in ones[start : start + 1_000]))


async def test_every_page_of_many_can_be_reached_a_screenful_at_a_time(local: Store) -> None:
    async with administered(local) as admin:
        await admin.log_in()
        await arm_many(admin, local, 6_000)
        text = await (await admin.ask("GET", "state")).text()
        assert len(text) < 25_000
        state = json.loads(text)
        assert (state["armed"]["of"], state["armed"]["more"]) == (6_000, True)
        for start in (0, 2 * PAGE, 5_980):
            part = (await admin.state(f"armed={start}"))["armed"]
            assert [one["job_id"] for one in part["rows"]] == [
                f"job{n:05}" for n in range(start, start + PAGE)
            ]
            assert part["more"] == (start < 5_980)
        assert (await admin.state("armed=6000"))["armed"]["rows"] == []
        assert len(state["timeline"]["agents"]) == 12
        assert state["timeline"]["others"] == 6_000 * 38 // 50


@pytest.mark.parametrize(
    ("query", "armed", "rows"),
    [
        ("agent=agent07", 12, 1),
        ("text=job0001", 10, 10),
        ("text=agent4", 120, 10),
        ("agent=agent07&text=job000", 2, 1),
        ("agent=nobody", 0, 0),
    ],
)
async def test_a_filter_filters_every_figure(
    local: Store, query: str, armed: int, rows: int
) -> None:
    store = local  # of a cluster, whose alarms wake the relay, that one may deliver meanwhile
    async with administered(store) as admin:
        await admin.log_in()
        await arm_many(admin, store, 600)
        for n, agent in ((7, "agent07"), (9, "other")):  # each fails once, late
            one = shot(admin, f"job{n:05}-late", -MINUTE, agent)
            await store.provision(one, one.due_ms)
        for held in await store.due(admin.nas.clock.now, 2):
            failed = DeliveryResult(ended=False, note="503", retry_after_ms=10 * MINUTE)
            await store.settle(held, failed, admin.nas.clock.now)
        state = await admin.state(query)
        fits = [
            one
            for one in await store.upcoming(1_000)
            if f"agent={one.agent}" in query or "agent=" not in query
            if all(text in one.agent + " " + one.job_id for text in re.findall("text=(.*)", query))
        ]
        late = sum(one.job_id.endswith("late") for one in fits)
        assert len(fits) == armed + late
        assert state["counts"] == {"armed": len(fits), "due": 0, "dead": 0, "firing": 0}
        assert (state["armed"]["of"], state["lateness"]["of"]) == (len(fits), late)
        assert len(state["attempts"]["rows"]) == late
        assert len(state["timeline"]["agents"]) == rows
        assert sum(each["armed"] for each in state["timeline"]["agents"]) == len(fits)
        assert state["agent_known"] == ("agent=" not in query)


async def test_what_is_being_delivered_is_counted_by_the_filter() -> None:
    gate = asyncio.Event()
    async with administered(MemoryStore()) as admin, agent_stub(lambda: 0) as agent:
        await admin.log_in()
        agent.answers.append(held_until(gate))
        await admin.nas.provision("job", 0, agent.url)
        await agent.until(1)
        for query, firing in (("", 1), ("agent=agent", 1), ("text=jo", 1), ("text=none", 0)):
            assert (await admin.state(query))["counts"]["firing"] == firing, query
        gate.set()


class Reading(MemoryStore):
    """A store that notes how many of what it holds it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def _note(self, found: list[Any]) -> list[Any]:
        self.most = max(self.most, len(found))
        return found

    async def upcoming(self, *asked: Any, **more: Any) -> list[StoredOneShot]:
        return self._note(await super().upcoming(*asked, **more))

    async def dead(self, *asked: Any, **more: Any) -> list[StoredOneShot]:
        return self._note(await super().dead(*asked, **more))

    async def armed(self, agent: str) -> list[StoredOneShot]:
        return self._note(await super().armed(agent))


async def test_a_page_reads_no_more_one_shots_than_it_shows() -> None:
    store = Reading()
    async with administered(store) as admin:
        await admin.log_in()
        await arm_many(admin, store, 1_000)
        for query in ("", "armed=980", "agent=agent07", "text=job", "agent=agent07&text=job"):
            await admin.state(query)
        assert store.most == PAGE + 1


async def test_attempts_and_the_dead_are_shown_in_parts() -> None:
    store = MemoryStore()
    async with administered(store) as admin:
        await admin.log_in()
        start = admin.nas.clock.now + MINUTE  # before its time the relay does not touch one
        for n in range(25):
            await store.provision(shot(admin, f"job{n:02}", MINUTE), start)
        for at in (start, start + DAY):
            failed = DeliveryResult(ended=False, note="503", retry_after_ms=10**9)
            for n, held in enumerate(await store.due(at, 100)):
                await store.settle(held, failed, at + n)
        first, rest = await admin.state(), await admin.state(f"attempts={PAGE}&dead={PAGE}")
        for name, of, more in (("attempts", None, True), ("dead", PAGE + 5, False)):
            assert (first[name]["of"], first[name]["more"], first[name]["offset"]) == (of, True, 0)
            assert (rest[name]["of"], rest[name]["more"], rest[name]["offset"]) == (of, more, PAGE)
            rows = first[name]["rows"] + rest[name]["rows"]
            shown = [(one["schedule_id"], one.get("number")) for one in rows]
            assert len(set(shown)) == len(shown) == min(of or 2 * PAGE, 2 * PAGE)
        assert first["armed"]["rows"] == []


async def test_a_store_that_does_not_sort_so_many_still_shows_agents() -> None:
    class Vast(MemoryStore):
        async def upcoming(
            self, limit: int, which: Which = ALL, offset: int = 0
        ) -> list[StoredOneShot]:
            if which.agent is None:
                raise TooManyError("too many")
            return await super().upcoming(limit, which, offset)

        async def counts(self, now: int, which: Which = ALL) -> Counts:
            if which.agent is None and which != ALL:
                raise TooManyError("too many")
            return await super().counts(now, which)

        async def histogram(
            self, start: int, end: int, bins: int, most: int, which: Which = ALL
        ) -> Histogram:
            if which.agent is None:
                raise TooManyError("too many")
            return await super().histogram(start, end, bins, most, which)

    store = Vast()
    async with administered(store) as admin:
        await admin.log_in()
        await store.provision(shot(admin, "job", MINUTE), admin.nas.clock.now)
        state = await admin.state()
        assert (state["too_many"], state["counts"]["armed"]) == (True, 1)
        searched = await admin.state("text=job")
        assert (searched["too_many"], searched["counts"]["armed"]) == (True, None)
        mine = await admin.state("agent=agent")
        assert (mine["armed"]["of"], mine["too_many"]) == (1, False)


@pytest.mark.parametrize(
    "page",
    [PagePolicy(fresh_s=3_600.0), PagePolicy(fresh_s=0.0, share=10**9)],
    ids=["for a while", "for as long as it took many times over"],
)
async def test_the_store_is_asked_once_for_all_who_look(page: PagePolicy) -> None:
    asked: list[int] = []

    class Counting(MemoryStore):
        async def upcoming(self, limit: int, *more: Any) -> list[StoredOneShot]:
            asked.append(limit)
            return await super().upcoming(limit, *more)

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
    page = PagePolicy(fresh_s=3_600.0, views=8)  # a view is four things
    asked: list[str | None] = []

    class Counting(MemoryStore):
        async def upcoming(
            self, limit: int, which: Which = ALL, offset: int = 0
        ) -> list[StoredOneShot]:
            asked.append(which.agent)
            return await super().upcoming(limit, which, offset)

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
        async def dead(self, *asked: Any) -> list[StoredOneShot]:
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


OFF = {"text/html,application/xhtml+xml": "text/html", "*/*": "application/json"}


@pytest.mark.parametrize(("asked", "told"), OFF.items())
@pytest.mark.parametrize("place", ["", "login", "approve?code=BCDF-GHJK", "state"])
async def test_a_page_that_is_off_says_so_in_words(asked: str, told: str, place: str) -> None:
    store = MemoryStore()
    async with administered(store) as admin:
        await Access(store).turn_off()
        answer = await admin.ask("GET", place, headers={"Accept": asked})
        assert (answer.status, answer.content_type) == (404, told)
        assert "page is off" in (await answer.text())
        assert "nas-server admin token" in await answer.text()


async def test_it_shows_which_credential_armed_a_one_shot(admin: Admin) -> None:
    await admin.log_in()
    await admin.nas.provision("before", 60_000, "http://127.0.0.1:9")
    _, admin.nas.token = await admin.nas.nas.accounts.rotate("agent")
    await admin.nas.provision("after", 60_000, "http://127.0.0.1:9")
    rows = (await admin.state())["armed"]["rows"]
    shown = {row["job_id"]: (row["credential"], row["credential_now"]) for row in rows}
    assert shown == {"before": (1, 2), "after": (2, 2)}
