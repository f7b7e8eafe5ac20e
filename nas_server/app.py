"""The HTTP side: the contract's three operations, the key set, and the wiring of a server."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from nas_sdk.protocol import one_shot
from nas_server import budget
from nas_server.accounts import Accounts, AgentAccount, InvalidTokenError, UnprovisionedError
from nas_server.clock import NowMs, system_clock
from nas_server.delivery.caller import Caller, agent_client
from nas_server.delivery.relay import Relay
from nas_server.http import answers, bodies, request_body
from nas_server.http.gate import Gate
from nas_server.http.oauth import OAuth
from nas_server.http.throttle import Throttle
from nas_server.keys import KeyRing
from nas_server.logs import log_event
from nas_server.metrics import CONTENT_TYPE, CountsCache, Metrics
from nas_server.page.routes import Page
from nas_server.policy import ServerConfig
from nas_server.quota import Quota
from nas_server.schedule_ids import ScheduleIds
from nas_server.store.base import PROBE, Store, StoreError


class Nas:
    """One server: a store, the HTTP application on it, and the relay."""

    def __init__(
        self,
        store: Store,
        settings: ServerConfig,
        *,
        clock: NowMs = system_clock,
    ) -> None:
        """Wire a server on ``store``, which the caller closes once the application is gone.

        Whoever moves ``clock`` by hand calls ``relay.look()`` afterwards.
        """
        self._store = store
        self._settings = settings
        self._clock = clock
        self.accounts = Accounts(store)
        self.keys = KeyRing(store, settings.keys)
        self.metrics = Metrics()
        self.oauth = OAuth(
            store,
            self.accounts,
            self.keys,
            issuer=settings.issuer,
            clock=clock,
            access_life_s=settings.access_life_s,
            policy=settings.logins,
            body_s=settings.http.body_s,
        )
        self._share = partial(budget.share, settings.budget)
        self._throttle = _throttle(settings)
        self._quota = Quota(store, self._throttle, settings.one_shots, settings.quota)
        self._schedule_ids = ScheduleIds()
        self._counts = CountsCache(store.counts, clock, settings.http.counts_ms)
        self.relay: Relay
        self._stopped = False
        self._grace_s = settings.grace_s
        self.gate = Gate(self._share, settings.http)
        self.app = web.Application(
            middlewares=[
                self.gate.middleware,
                answers.error_middleware(self.metrics, settings.http.retry_after_s),
            ],
            client_max_size=settings.http.body_bytes,
        )
        self.app.cleanup_ctx.append(self._relaying)
        self.app.add_routes(
            [
                web.post("/api/agent-cron/provision", self._provision, name="provision"),
                web.post("/api/agent-cron/cancel", self._cancel, name="cancel"),
                web.get("/api/agent-cron/list", self._list, name="list", allow_head=False),
                web.get("/.well-known/jwks.json", self._jwks, name="jwks"),
                web.get("/healthz", self._healthz, name="healthz"),
                web.get("/readyz", self._readyz, name="readyz"),
                web.get("/metrics", self._metrics, name="metrics"),
                web.get("/admin", _to_page, name="page_redirect"),
                *self.oauth.routes,
            ]
        )
        page = Page(
            store,
            lambda: self.relay,
            self.oauth.logins,
            clock=clock,
            settings=settings,
        )
        self.app.add_subapp("/admin/", page.app)

    async def _relaying(self, app: web.Application) -> AsyncIterator[None]:
        await self.keys.refresh(self._clock())
        async with agent_client(
            allow_private=self._settings.allow_private_callbacks,
            timeout_s=self._settings.answer_timeout_s,
            most=self._share,
            policy=self._settings.delivery,
        ) as client:
            caller = Caller(
                client,
                self.accounts,
                self.keys,
                issuer=self._settings.issuer,
                clock=self._clock,
            )
            self.relay = Relay(
                self._store,
                caller,
                self.metrics,
                clock=self._clock,
                settings=self._settings,
            )
            self.relay.start()
            yield
            await self.stop()

    async def stop(self) -> None:
        """Begin no more deliveries, and let those under way end or hand them back; only once."""
        if not self._stopped:
            self._stopped = True
            await self.relay.stop(self._grace_s)

    def force_stop(self) -> None:
        """Stop without waiting for deliveries, now or when a stop comes."""
        self._grace_s = 0.0
        if self._stopped:
            self.relay.force_stop()

    async def _provision(self, request: web.Request) -> web.Response:
        agent, body = await self._caller_and_body(request)
        asked = bodies.parse_provision(body, allow_private=self._settings.allow_private_callbacks)
        now = self._clock()
        if wait_s := await self._quota.wait_s(agent.name, asked.job_id, now):
            raise answers.too_many_armed(wait_s, self._settings.one_shots)
        wanted = one_shot.fresh(
            agent.name,
            asked.job_id,
            asked.fire_at,
            asked.agent_callback_url,
            asked.dedup_key,
            self._schedule_ids.new(),
            now,
            agent.generation,
            asked.more,
        )
        schedule_id = await self._store.provision(wanted, now)
        self.relay.expect(wanted.wake_ms)
        return web.json_response({"schedule_id": schedule_id})

    async def _cancel(self, request: web.Request) -> web.Response:
        agent, body = await self._caller_and_body(request)
        job_id = bodies.parse_cancel(body)
        await self._store.cancel(agent.name, job_id, self._clock())
        return web.json_response({"ok": True})

    async def _list(self, request: web.Request) -> web.Response:
        agent = await self._caller_of(request)
        held = await self._quota.armed(agent.name, self._clock())
        kept = [one for one in held if agent.honours(one)]
        policy = self._settings.quota
        if self._settings.one_shots and len(kept) > policy.listed:
            log_event("list_cut", level=logging.WARNING, agent=agent.name, armed=len(kept))
            del kept[policy.listed :]
        if len(kept) <= policy.beside:
            return web.json_response(answers.armed_list(kept))
        # What takes long is done beside the loop, where others have their turns.
        body = await asyncio.to_thread(lambda: json.dumps(answers.armed_list(kept)))
        return web.json_response(text=body)

    async def _jwks(self, request: web.Request) -> web.Response:
        now = self._clock()
        await self.keys.refresh(now)
        headers = {"Cache-Control": f"public, max-age={self._settings.keys.cached_s}"}
        return web.json_response(self.keys.jwks(now), headers=headers)

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        if self._stopped:
            raise StoreError("the server is stopping")  # a 503, as all of them
        ready_s = self._settings.http.ready_s
        try:
            async with asyncio.timeout(ready_s):
                await self._store.next_due()  # says at once when a cluster is away
                if (error := await self._store.arm_error()) is not None:
                    raise error
                await self._store.write(PROBE, "readyz", {})
        except TimeoutError:
            raise StoreError(f"it took longer than {ready_s:g} s") from None
        return web.json_response({"status": "ready"})

    async def _metrics(self, request: web.Request) -> web.Response:
        counts, up = None, False
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(self._settings.http.count_s):
                counts = await self._counts.get()
                up = await self._store.arm_error() is None
        text = self.metrics.render(counts, up=up, now=self._clock())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _caller_and_body(self, request: web.Request) -> tuple[AgentAccount, bytes]:
        """Return who calls, as of when all that is sent is there, and the body."""
        agent = await self._caller_of(request)
        came_at_once = request.content.is_eof()
        body = await request_body.body(request, request_body.JSON, self._settings.http.body_s)
        return (agent if came_at_once else await self._identify(request)), body

    async def _caller_of(self, request: web.Request) -> AgentAccount:
        """Return the agent the bearer token stands for; an error answer otherwise."""
        agent = await self._identify(request)
        if self._throttle and (wait_s := self._throttle.wait_s(agent.name, self._clock())):
            raise answers.slow_down(wait_s)
        return agent

    async def _identify(self, request: web.Request) -> AgentAccount:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise answers.unauthorized("a bearer token is needed")
        try:
            return await self.accounts.identify(token, self._clock())
        except InvalidTokenError:
            raise answers.unauthorized("the token is expired or unknown", known=True) from None
        except UnprovisionedError:
            raise answers.identity_rejected() from None


def _throttle(settings: ServerConfig) -> Throttle | None:
    if not (calls := settings.calls):
        return None
    http, quota = settings.http, settings.quota
    longest = quota.listed // quota.per_call
    return Throttle(calls * http.calls_burst_s, 1_000 / calls, http.agents, longest)


async def _to_page(request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": "admin/"})
