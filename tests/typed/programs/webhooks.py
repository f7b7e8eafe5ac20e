"""Receiving and testing fires; every line must type-check."""

from collections.abc import Mapping

from nas_sdk import AsyncFireVerifier, Fire, FireError, FireRefused, FireVerifier, JwksCache
from nas_sdk.testing import InMemoryNas
from nas_sdk.webhooks import Reason

verifier = FireVerifier("https://nas.example.com/jwks", audience="agent:1", issuer=None)
later = AsyncFireVerifier(JwksCache("https://nas.example.com/jwks"), audience="a", issuer="b")


def receive(headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, object]]:
    try:
        fire: Fire = verifier.verify(headers, body)
    except FireRefused as refused:
        reason: Reason = refused.reason
        return refused.status, {"error": reason}
    except FireError as error:
        return error.status, error.answer
    job_id: str = fire.job_id
    return 202, {"status": "accepted", "job_id": job_id}


async def receive_later(headers: list[tuple[bytes, bytes]], body: bytes) -> str:
    return (await later.verify(headers, body)).fire_at


nas = InMemoryNas()
nas.fail_next(503, times=2)
due: float | None = nas.next_due()
