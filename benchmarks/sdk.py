"""What a call of `NasClient` costs beside other clients, and how batches use their connections.

    python -m benchmarks.sdk [--rounds 7] [--calls 300] [--json]

CPU seconds of this process per call, against a server in another process that answers every
request with the same bytes at once; rounds interleaved, medians. Clients that are not
installed (requests, openai, stripe) are left out and named.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from typing import Any

import httpx

from nas_sdk import Arm, AsyncNasClient, NasClient

FIRE_AT = "2026-06-18T12:34:56Z"
CALLBACK = "https://agent.example.com"
BODY = {"job_id": "job-1", "fire_at": FIRE_AT, "agent_callback_url": CALLBACK}
BODY["dedup_key"] = f"job-1:{FIRE_AT}"
CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    ],
}
ANSWERS = {
    b"/chat/completions": CHAT,
    b"/v1/customers": {"id": "cus_1", "object": "customer"},
}
Call = Callable[[], object]


async def _answer(delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.partition(b":")[2]))
            path = head.split(b" ", 2)[1]
            body = json.dumps(ANSWERS.get(path, {"schedule_id": "os_1"})).encode()
            if delay:
                await asyncio.sleep(delay)
            start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            writer.write(start + str(len(body)).encode() + b"\r\n\r\n" + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _serve(ready: Connection, delay: float) -> None:
    async def main() -> None:
        server = await asyncio.start_server(partial(_answer, delay), "127.0.0.1", 0, backlog=1024)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def server(delay: float) -> Any:
    """The URL of a server that answers after `delay` seconds."""
    here, there = Pipe()
    process = get_context("spawn").Process(target=_serve, args=(there, delay), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def clients(url: str) -> dict[str, Call]:
    """A call of every client that is installed; raw httpx comes first."""
    headers = {"Authorization": "Bearer token"}
    path = f"{url}/api/agent-cron/provision"
    raw = httpx.Client(trust_env=False)
    nas = NasClient(url, token="token")
    calls: dict[str, Call] = {
        "raw httpx": lambda: raw.post(path, json=BODY, headers=headers).json(),
        "NasClient": lambda: nas.provision("job-1", FIRE_AT, CALLBACK),
    }
    for name, make in (("requests", _requests), ("openai", _openai), ("stripe", _stripe)):
        if importlib.util.find_spec(name):
            calls[name] = make(url)
    return calls


def _requests(url: str) -> Call:
    requests: Any = importlib.import_module("requests")
    session = requests.Session()
    session.trust_env = False
    headers = {"Authorization": "Bearer token"}
    path = f"{url}/api/agent-cron/provision"
    return lambda: session.post(path, json=BODY, headers=headers, timeout=15).json()


def _openai(url: str) -> Call:
    openai: Any = importlib.import_module("openai")
    client = openai.OpenAI(base_url=url, api_key="key")
    messages = [{"role": "user", "content": "x"}]
    return lambda: client.chat.completions.create(model="m", messages=messages)


def _stripe(url: str) -> Call:
    stripe: Any = importlib.import_module("stripe")
    client = stripe.StripeClient("sk_test_1", base_addresses={"api": url})
    return lambda: client.v1.customers.create({"name": "x"})


def per_call(rounds: int, count: int) -> dict[str, float]:
    """Median CPU microseconds of a call, by client."""
    with server(0) as url:
        calls = clients(url)
        for call in calls.values():
            for _ in range(20):
                call()
        took: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                start = time.process_time()
                for _ in range(count):
                    call()
                took[name].append((time.process_time() - start) / count * 1e6)
    return {name: statistics.median(values) for name, values in took.items()}


def import_times(rounds: int) -> dict[str, float]:
    """Median CPU milliseconds in fresh processes."""
    code = (
        "import time; a = time.process_time(); import httpx; b = time.process_time(); "
        "import nas_sdk; c = time.process_time(); nas_sdk.NasClient; d = time.process_time(); "
        "print(b - a, c - b, d - b)"
    )
    command = [sys.executable, "-c", code]
    runs = [
        [float(part) * 1000 for part in subprocess.check_output(command).split()]
        for _ in range(rounds)
    ]
    names = ("import httpx", "import nas_sdk, on top", "from nas_sdk import NasClient, on top")
    return {
        name: statistics.median(column)
        for name, column in zip(names, zip(*runs, strict=True), strict=True)
    }


def batches(rounds: int, count: int = 1000, delay: float = 0.03) -> dict[str, dict[str, float]]:
    """Median wall seconds of many provisions against a slow server, and over the ideal."""
    arms = [Arm(f"job-{number}", FIRE_AT, CALLBACK) for number in range(count)]

    def sync(url: str) -> None:
        with NasClient(url, token="token", deadline=None) as nas:
            assert all(outcome.ok for outcome in nas.provision_many(arms))

    def asynchronous(url: str) -> None:
        async def main() -> None:
            async with AsyncNasClient(url, token="token", deadline=None) as nas:
                assert all(outcome.ok for outcome in await nas.provision_many(arms))

        asyncio.run(main())

    def one_by_one(url: str) -> None:
        with httpx.Client(trust_env=False) as raw:
            for _ in range(count // 10):
                raw.post(f"{url}/api/agent-cron/provision", json=BODY)

    rows: dict[str, tuple[Callable[[str], None], int, float]] = {
        "sync, 32 threads": (sync, 32, 1),
        "async, 16 connections": (asynchronous, 16, 1),
        "raw httpx, one by one": (one_by_one, 1, 10),
    }
    took: dict[str, list[float]] = {name: [] for name in rows}
    with server(delay) as url:
        for _ in range(rounds):
            for name, (run, _, scale) in rows.items():
                start = time.perf_counter()
                run(url)
                took[name].append((time.perf_counter() - start) * scale)
    return {
        name: {
            "seconds": statistics.median(took[name]),
            "ideal": count / width * delay,
            "ratio": statistics.median(took[name]) / (count / width * delay),
        }
        for name, (_, width, _) in rows.items()
    }


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cpu = per_call(options.rounds, options.calls)
    imports = import_times(options.rounds * 3)
    many = batches(max(3, options.rounds // 2))
    if options.json:
        print(json.dumps({"cpu_us_per_call": cpu, "import_ms": imports, "provisions": many}))
        return
    print("CPU per call            us   x raw httpx")
    for name, value in cpu.items():
        print(f"  {name:<18}{value:8.0f}{value / cpu['raw httpx']:12.2f}")
    print("\nimport                                  CPU ms")
    for name, value in imports.items():
        print(f"  {name:<36}{value:8.1f}")
    print("\n1000 provisions, 30 ms each     s   ideal   x ideal")
    for name, row in many.items():
        print(f"  {name:<24}{row['seconds']:8.2f}{row['ideal']:8.2f}{row['ratio']:9.2f}")


if __name__ == "__main__":
    main()
