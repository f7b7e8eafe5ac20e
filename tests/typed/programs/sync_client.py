"""What a service writes; every line must type-check."""

from datetime import UTC, datetime

import httpx

from nas_sdk import Arm, ArmedOneShot, BulkResult, NasClient, ProvisionResult, ResponseEvent


def login() -> str:
    return "token"


def watch(event: ResponseEvent) -> None:
    seconds: float = event.elapsed
    print(event.operation, seconds)


with NasClient("https://nas.example.com", token=login, on_response=watch) as nas:
    result: ProvisionResult = nas.provision("job-1", "2026-06-18T12:34:56Z", "https://a.example")
    name: str = result.schedule_id
    nas.provision("job-1", datetime.now(UTC), "https://a.example", dedup_key=None)
    armed: list[ArmedOneShot] = nas.list_armed()
    times: list[str] = [one.fire_at for one in armed]
    nas.cancel("job-1")
    outcomes: list[BulkResult] = nas.provision_many(
        (Arm("job-1", "2026-06-18T12:34:56Z", "https://a.example") for _ in range(3)),
        on_progress=lambda done, total: print(done / total),
    )
    failed: list[str] = [outcome.job_id for outcome in outcomes if not outcome.ok]
    view: NasClient = nas.with_options(timeout=3, max_attempts=1, deadline=None)

NasClient(transport=httpx.HTTPTransport(proxy="http://127.0.0.1:3128"))
NasClient(http_client=httpx.Client(), timeout=httpx.Timeout(5))
