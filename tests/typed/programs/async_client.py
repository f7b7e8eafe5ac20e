"""The same, asynchronous; every line must type-check."""

import asyncio

from nas_sdk import Arm, ArmedOneShot, AsyncNasClient, BulkResult, ProvisionResult


async def login() -> str:
    return "token"


async def main() -> None:
    async with AsyncNasClient("https://nas.example.com", token=login) as nas:
        result: ProvisionResult = await nas.provision(
            "job-1", "2026-06-18T12:34:56Z", "https://a.example"
        )
        armed: list[ArmedOneShot] = await nas.list_armed()
        await nas.cancel(armed[0].job_id)
        outcomes: list[BulkResult] = await nas.provision_many(
            [Arm("job-1", "2026-06-18T12:34:56Z", "https://a.example")]
        )
        print(result.schedule_id, all(outcome.ok for outcome in outcomes))
    AsyncNasClient(token=lambda: "token")


asyncio.run(main())
