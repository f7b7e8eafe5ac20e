"""Load by wrk, which costs the server's cores little: https://github.com/wg/wrk.

Beside the server stands what bounds it: an aiohttp handler that parses the same JSON and
answers as much, without a token, a store or a relay.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PATH: Final = "/api/agent-cron/provision"
CONNECTIONS: Final = 32
SECONDS: Final = 5
_RATE: Final = re.compile(r"^Requests/sec:\s+([0-9.]+)", re.MULTILINE)
_REFUSED: Final = re.compile(r"^\s*(?:Non-2xx.*|Socket errors.*)$", re.MULTILINE)
_SCRIPT: Final = """
local tokens, prefix, n = {tokens}, "{prefix}", 0
function request()
  n = n + 1
  local job = prefix .. n
  wrk.headers["Authorization"] = "Bearer " .. tokens[n % #tokens + 1]
  wrk.headers["Content-Type"] = "application/json"
  return wrk.format("POST", "{path}", nil, '{{"job_id": "' .. job
    .. '", "fire_at": "2099-06-18T12:34:56.000Z", "agent_callback_url": "http://127.0.0.1:9"'
    .. ', "dedup_key": "' .. job .. ':2099-06-18T12:34:56.000Z"}}')
end
"""


class MissingError(Exception):
    """wrk is not installed."""

    def __init__(self) -> None:
        super().__init__("wrk is not installed: apt-get install wrk, or build it from its source")


def find() -> str:
    """Return the program; MissingError."""
    if (found := shutil.which("wrk")) is None:
        raise MissingError
    return found


def arms_per_s(url: str, tokens: Sequence[str], directory: Path, prefix: str) -> float:
    """Arm one job after another far ahead for `SECONDS`; return how many were answered a second.

    ``prefix`` tells the jobs of one run from those of others. Raises RuntimeError when an
    answer was not 200.
    """
    quoted = "{" + ", ".join(json.dumps(each) for each in tokens) + "}"
    script = directory / f"{prefix}.lua"
    script.write_text(_SCRIPT.format(tokens=quoted, prefix=prefix, path=PATH))
    flags = ["-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "-s", str(script)]
    flags += ["--timeout", f"{SECONDS}s"]  # a busy machine is slow, and that is no refusal
    told = subprocess.run(
        [find(), *flags, url], check=True, capture_output=True, text=True, timeout=20 * SECONDS
    ).stdout
    if refused := _REFUSED.search(told):
        raise RuntimeError(refused[0].strip())
    found = _RATE.search(told)
    if found is None:
        raise RuntimeError(f"wrk said no rate: {told[-500:]}")
    return float(found[1])


@contextmanager
def plain_handler(loop: str) -> Iterator[tuple[str, int]]:
    """Run the plain handler on a ``loop`` (asyncio or uvloop); give its URL and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.plain_handler", loop], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()
            process.wait()
