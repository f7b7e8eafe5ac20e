"""What bounds a server on aiohttp: a handler that parses a provision's JSON and answers as much.

    python -m benchmarks.plain_handler asyncio|uvloop

It prints its URL and runs until it is terminated.
"""

import asyncio
import importlib
import json
import socket
import sys

from aiohttp import web

from benchmarks.wrk import PATH


async def _provision(request: web.Request) -> web.Response:
    body = json.loads(await request.read())
    return web.json_response({"schedule_id": f"os_{body['job_id']}"})


async def _serve() -> None:
    app = web.Application()
    app.router.add_post(PATH, _provision)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    loops = importlib.import_module(sys.argv[1])
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(_serve())
