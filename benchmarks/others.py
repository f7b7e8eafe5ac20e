"""What a NAS is measured against: HTTP and tokens alone, and APScheduler with jobs in SQLite."""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figures, lateness
from benchmarks.hosting import Stores
from benchmarks.load import sink
from nas_server.delivery.caller import agent_client
from nas_server.keys import SigningKey

PATIENCE_S: Final = 300.0
"""How long a call may take. APScheduler begins all that is due at once and tries nothing again:
of 10 000 it would lose those that take longer than the relay waits."""

Fire = Callable[[str], Awaitable[None]]
_fire: Fire
"""How the jobs of APScheduler, which it finds by name, fire."""


@asynccontextmanager
async def firing(url: str) -> AsyncIterator[Fire]:
    """Provide a function that fires a job: mints a token and posts it."""
    import jwt

    key = SigningKey.new(0)
    async with agent_client(allow_private=True, timeout_s=PATIENCE_S) as client:

        async def fire(job_id: str) -> None:
            claims = {"iss": url, "aud": "agent:x", "purpose": "cron_fire", "iat": int(time.time())}
            token = jwt.encode(claims, key.private, "ES256", headers={"kid": key.kid})
            body = json.dumps({"job_id": job_id, "fire_at": "2026-06-18T12:34:56Z"})
            await client.post(url, f"Authorization: Bearer {token}\r\n", body.encode())

        yield fire


async def ceiling(_: Stores) -> Figures:
    """Fire 10 000 times from a process of its own that keeps nothing."""
    async with sink() as agent:
        child = get_context("spawn").Process(target=_post_all, args=(agent.url, 10_000))
        child.start()
        await agent.until(10_000)
        child.join()
        first = min(came[0] for came in agent.arrived.values())
        last = max(came[0] for came in agent.arrived.values())
        return {"fires_per_s": 10_000 / (last - first)}


def _post_all(url: str, count: int) -> None:
    async def run() -> None:
        left = iter(range(count))
        async with firing(url) as fire:

            async def one_after_another() -> None:
                for n in left:
                    await fire(f"job{n}")

            await asyncio.gather(*(one_after_another() for _ in range(64)))

    asyncio.run(run())


async def others_arms(_: Stores) -> Figures:
    """Add 2 000 jobs far ahead."""
    with tempfile.TemporaryDirectory(prefix="nas-bench-") as name:
        scheduler = _scheduler(Path(name))
        scheduler.start(paused=True)
        start = time.perf_counter()
        for n in range(2_000):
            _add(scheduler, f"job{n}", time.time() + 86_400)
        rate = 2_000 / (time.perf_counter() - start)
        scheduler.shutdown()
        return {"arms_per_s": rate}


async def others_1k(_: Stores) -> Figures:
    """1 000 fires within one second."""
    return await _burst(1_000)


async def others_10k(_: Stores) -> Figures:
    """10 000 fires within one second."""
    return await _burst(10_000)


async def _burst(count: int) -> Figures:
    # The directory is this process's: the one that is terminated would leave it behind.
    with tempfile.TemporaryDirectory(prefix="nas-bench-") as name:
        async with sink() as agent:
            first = time.time() + 5 + count / 40  # it adds more than 100 jobs a second
            dues = {f"job{n}": (first + n / count) * 1e3 for n in range(count)}
            work = agent.url, dues, Path(name)
            child = get_context("spawn").Process(target=_schedule, args=work)
            child.start()
            await agent.until(count)
            child.terminate()
            child.join()
            return lateness(agent, dues)


def _schedule(url: str, dues: dict[str, float], directory: Path) -> None:
    async def run() -> None:
        global _fire
        async with firing(url) as _fire:
            scheduler = _scheduler(directory)
            scheduler.start(paused=True)
            for job_id, due in dues.items():
                _add(scheduler, job_id, due / 1e3)
            scheduler.resume()
            await asyncio.Event().wait()

    asyncio.run(run())


async def fire_job(job_id: str) -> None:
    """Fire; the job of APScheduler."""
    await _fire(job_id)


def _scheduler(directory: Path) -> Any:
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    store = SQLAlchemyJobStore(f"sqlite:///{directory / 'jobs.db'}")
    return AsyncIOScheduler(jobstores={"default": store}, timezone=UTC)


def _add(scheduler: Any, job_id: str, due: float) -> None:
    scheduler.add_job(
        "benchmarks.others:fire_job",
        "date",
        run_date=datetime.fromtimestamp(due, UTC),
        args=[job_id],
        id=job_id,
        misfire_grace_time=None,
    )
