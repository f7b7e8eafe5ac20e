"""The demo from its set-up to its exit status."""

import asyncio
import signal
import sys
from pathlib import Path

from nas_sdk import NasError
from tools.demo.process import ProcessError
from tools.demo.stage import StageError, set_up
from tools.demo.story import PromiseBroken, Story
from tools.demo.timeline import Timeline

_INTRODUCTION = """\
Real hermes {hermes} and a reference NAS, on this machine. A front plays the
platform: it starts hermes when a request comes in and stops it when it is idle.
hermes loads {provider} {version}.
Two cron jobs without a language model, one soon, one every minute: two minutes.
"""


async def demo(hermes_env: Path, *, as_json: bool) -> None:
    """Set up, play, and clean up, whatever happens."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with set_up(hermes_env) as stage:
        loaded = await stage.provider()
        if not loaded["provider"].startswith("chronos_plugin."):
            raise PromiseBroken(f"hermes loads {loaded['provider']}, which is not ours")
        timeline = Timeline(sys.stdout, as_json=as_json)
        timeline.note(_INTRODUCTION.format(**loaded))
        timeline.event("started", **loaded)
        try:
            await Story(stage, timeline).play()
        except (PromiseBroken, NasError):
            print(stage.last_words(), file=sys.stderr)
            raise
    timeline.note("Everything is stopped, and the temporary directory is gone.")


def run(hermes_env: Path, *, as_json: bool) -> int:
    """Returns the exit status: 0 when everything promised was seen."""
    try:
        asyncio.run(demo(hermes_env, as_json=as_json))
    except (PromiseBroken, ProcessError, StageError, NasError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped; nothing is left running", file=sys.stderr)
        return 130
    return 0
