"""Mistakes; every line that says so must be an error, and no other line."""

import asyncio

from nas_sdk import Arm, AsyncNasClient, NasClient, NasError

nas = NasClient("https://nas.example.com", token="token")


async def login() -> str:
    return "token"


NasClient("https://nas.example.com", token=login)  # wrong: an async source for a sync client
NasClient("https://nas.example.com", "token", 5)  # wrong: options are named
nas.provision("job-1", 1781786096, "https://a.example")  # wrong: a number is no fire time
nas.provision("job-1", "2026-06-18T12:34:56Z")  # wrong: no callback
nas.cancel(7)  # wrong: not a job id
for one in nas.list_armed():
    print(one.job_name)  # wrong: no such member
nas.provision_many([("job-1", "2026-06-18T12:34:56Z", "https://a.example")])  # wrong: no Arm
nas.with_options(retries=3)  # wrong: no such option
Arm(job_id="job-1", fire_at="2026-06-18T12:34:56Z")  # wrong: no callback


async def main() -> None:
    later = AsyncNasClient("https://nas.example.com", token=login)
    for _ in later.list_armed():  # wrong: not awaited
        pass


asyncio.run(main())
try:
    nas.list_armed()
except NasError as error:
    print(error.status)  # wrong: only answers have one
