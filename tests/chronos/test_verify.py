"""The verifier: what it lets through, what that sets off, and what it costs."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chronos_plugin import verify
from nas_sdk.webhooks import jwks as jwks_module
from tests.chronos.conftest import World
from tests.support.jwks_server import JwksServer, jwks_server
from tests.support.patience import PATIENCE_S
from tests.support.tokens import AUDIENCE, ISSUER, broken_tokens, good_token, key_set


@pytest.fixture
def jwks() -> Iterator[JwksServer]:
    with jwks_server(key_set()) as server:
        yield server


@pytest.fixture(autouse=True)
def process(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(verify, "PLUGIN", world.boot())
    yield world
    verify._KEYS.clear()
    verify._verifier.cache_clear()


def ask(token: str, jwks: JwksServer, *, audience: str = AUDIENCE, issuer: str = ISSUER) -> bool:
    """As hermes does."""
    verifier = verify.get_fire_verifier()
    claims = verifier(token=token, expected_audience=audience, jwks_or_key=jwks.url, issuer=issuer)
    assert claims is None or claims["purpose"] == "cron_fire"
    return claims is not None


def test_a_good_token_passes_and_heals(world: World, jwks: JwksServer) -> None:
    world.hermes.add("j1", 600)
    assert ask(good_token(time.time()), jwks)
    world.runtime.sleep(5)
    assert set(world.armed()) == {"j1"}


def test_slashes_at_the_end_of_the_portal_s_url_make_no_difference(jwks: JwksServer) -> None:
    assert ask(good_token(time.time()), jwks, issuer=f"{ISSUER}//")


def test_broken_tokens_are_refused_and_heal_nothing(world: World, jwks: JwksServer) -> None:
    accepted = [kind for kind, token in broken_tokens() if ask(token, jwks)]
    world.runtime.sleep(5)
    assert accepted == []
    assert world.runtime.spawned == []


@pytest.mark.parametrize("jwks_or_key", [None, "", "http://nas.example.com/jwks", "no key"])
def test_a_configuration_that_cannot_verify_refuses(jwks_or_key: str | None) -> None:
    verifier = verify.get_fire_verifier()
    token = good_token(time.time())
    assert verifier(token=token, expected_audience=AUDIENCE, jwks_or_key=jwks_or_key) is None


def test_an_empty_audience_refuses(jwks: JwksServer) -> None:
    assert not ask(good_token(time.time()), jwks, audience="")


def test_plain_http_elsewhere_is_allowed_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []

    def fetch_over_http(url: str, *, allow_http: bool, **_: object) -> Callable[[], bytes]:
        asked.append((url, allow_http))
        return lambda: b"{}"

    monkeypatch.setattr(jwks_module, "fetch_over_http", fetch_over_http)
    world.hermes.config = {"allow_http": True}
    url = "http://nas.example.com/jwks"
    verifier = verify.get_fire_verifier()
    assert verifier(token="x.y.z", expected_audience=AUDIENCE, jwks_or_key=url) is None
    assert asked == [(url, True)]


def test_thirty_fires_cost_one_fetch(jwks: JwksServer) -> None:
    assert all(ask(good_token(time.time()), jwks) for _ in range(30))
    assert jwks.fetches == 1


def test_the_keys_are_fetched_ahead(world: World, jwks: JwksServer) -> None:
    world.hermes.config = {"jwks_url": jwks.url}
    world.provider().start(threading.Event())
    world.runtime.sleep(1)
    assert jwks.arrived.acquire(timeout=PATIENCE_S)
    assert ask(good_token(time.time()), jwks)
    assert jwks.fetches == 1


def test_nothing_of_the_token_is_logged(jwks: JwksServer, caplog: pytest.LogCaptureFixture) -> None:
    for _, token in broken_tokens():
        ask(token, jwks)
        parts = [part for part in token.split(".") if len(part) > 8]
        assert not any(part in caplog.text for part in parts)
        caplog.clear()


def test_a_fire_that_cannot_be_verified_is_refused_with_its_reason(
    world: World,
    jwks: JwksServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for error, reason in (
        (OSError("config.yaml is gone"), "config.yaml is gone"),
        (KeyError(), "KeyError"),
    ):
        monkeypatch.setattr(world.hermes, "settings", raising(error))
        assert not ask(good_token(time.time()), jwks)
        assert caplog.messages == [f"fire refused: {reason}"]
        caplog.clear()


def raising(error: Exception) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


def test_a_keyword_of_a_later_hermes_changes_nothing(jwks: JwksServer) -> None:
    verifier = verify.get_fire_verifier(later=1)
    token = good_token(time.time())
    given = {"expected_audience": AUDIENCE, "jwks_or_key": jwks.url, "later": True}
    assert verifier(token=token, **given) is not None
    assert verifier(token=token[:-9], **given) is None


def test_threads_that_come_at_once_share_the_keys(
    jwks: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    class Slow(jwks_module.JwksCache):
        def __init__(self, url: str, **options: Any) -> None:
            both.wait(PATIENCE_S)
            super().__init__(url, **options)

    monkeypatch.setattr(jwks_module, "JwksCache", Slow)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: verify.keys(jwks.url, False), range(2))
    assert one is other


def test_the_names_of_hermes_s_own_module_resolve(world: World, jwks: JwksServer) -> None:
    """Its tests import them."""
    assert verify.get_fire_verifier() is verify.verify_nas_fire_token
    now = int(time.time())
    late = good_token(iat=now - 120, exp=now - 45)
    given: dict[str, Any] = {"token": late, "expected_audience": AUDIENCE, "jwks_or_key": jwks.url}
    assert verify.verify_nas_fire_token(**given) is None
    assert verify.verify_nas_fire_token(**given, leeway_seconds=60) is not None
