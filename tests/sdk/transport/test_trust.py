"""Servers that are not trusted, and those that are."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from nas_sdk import AsyncNasClient, CertificateError, NasClient
from nas_sdk._core.call_state import _is_distrust
from nas_sdk.testing import VirtualClock
from nas_sdk.webhooks import JwksCache
from tests.support.both_clients import KINDS, Driver
from tests.support.loopback import http_answer, loopback
from tests.support.tls import self_signed


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return NasClient if request.param == "sync" else AsyncNasClient


async def test_a_certificate_that_nobody_vouches_for_is_not_tried_again(
    make: Any, tmp_path: Path
) -> None:
    context, _ = self_signed(tmp_path)
    with loopback(lambda _: http_answer(b'{"ok": true}'), context) as server:
        call = Driver(make(server.url, "agent-token", clock=VirtualClock()))
        with pytest.raises(CertificateError) as caught:
            await call("cancel", "job-1")
        await call.close()
    assert (caught.value.attempts, server.connections, server.seen) == (1, 1, [])


@pytest.mark.parametrize("as_context", [True, False])
async def test_an_authority_of_ones_own(make: Any, as_context: bool, tmp_path: Path) -> None:
    context, public = self_signed(tmp_path)
    file = tmp_path / "authority.pem"
    file.write_bytes(public)
    verify = ssl.create_default_context(cafile=file) if as_context else file
    with loopback(lambda _: http_answer(b'{"ok": true}'), context) as server:
        call = Driver(make(server.url, "agent-token", verify=verify))
        await call("cancel", "job-1")
        await call("cancel", "job-2")
        await call.close()
    assert (server.connections, len(server.seen)) == (1, 2)


def test_keys_of_a_server_that_is_not_trusted_are_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context, _ = self_signed(tmp_path)
    with loopback(lambda _: http_answer(b"{}"), context) as server:
        assert JwksCache(f"{server.url}/jwks").get("any") is None
    assert server.seen == []
    assert "every fire is refused until then" in caplog.text


def test_distrust_is_seen_behind_an_error_that_was_raised_while_it_was_handled() -> None:
    outer = OSError("closed")
    outer.__context__ = ssl.SSLCertVerificationError("self-signed")
    assert _is_distrust(outer)
    assert not _is_distrust(OSError("closed"))
