"""Signing keys: one from the start, rotated without a gap, told to everybody in time."""

import jwt
import pytest

from nas_server import keys
from nas_server.keys import KeyRing
from nas_server.store import Store

T = 1_800_000_000_000


def kid_of(ring: KeyRing, now: int) -> str:
    return str(jwt.get_unverified_header(ring.sign({}, now))["kid"])


def published(ring: KeyRing, now: int) -> set[str]:
    return {key["kid"] for key in ring.jwks(now)["keys"]}


async def opened(store: Store, now: int = T) -> KeyRing:
    ring = KeyRing(store)
    await ring.refresh(now)
    return ring


async def test_the_first_key_is_made_once(store: Store) -> None:
    first = await opened(store)
    again = await opened(store, T + 1)
    assert first.jwks(T) == again.jwks(T)
    assert len(published(first, T)) == 1


async def test_a_rotation_is_published_before_it_signs_and_fades_after(store: Store) -> None:
    ring = await opened(store)
    (old,) = published(ring, T)
    new = (await KeyRing(store).rotate(T)).kid
    assert published(ring, T) == {old}
    seen = T + 2_000
    await ring.refresh(seen)
    assert published(ring, seen) == {old, new}
    takes_over = T + 70_000
    assert takes_over - seen > 60_000  # a copy without it is not fresh any more
    assert kid_of(ring, takes_over - 1) == old
    assert kid_of(ring, takes_over) == new
    last_token_dead = takes_over + (90 + 30) * 1_000
    assert published(ring, last_token_dead) == {old, new}
    assert published(ring, takes_over + 150_000) == {new}


async def test_every_token_is_signed_by_a_published_key_whatever_is_rotated(store: Store) -> None:
    ring = await opened(store)
    now = T
    for pause in (0, 1, 5_000, 9_999, 10_000, 60_000, 1, 600_000):
        now += pause
        await KeyRing(store).rotate(now)
        for later in range(now, now + 30_000, 1_000):
            await ring.refresh(later)
            assert kid_of(ring, later) in published(ring, later)
        now += 30_000


async def test_long_retired_keys_leave_the_store(store: Store) -> None:
    ring = await opened(store)
    for n in range(5):
        await ring.rotate(T + n * 1_000_000)
    assert len(await store.scan("signing_key")) == 2


async def test_a_private_key_shows_in_no_text_and_no_key_set(store: Store) -> None:
    ring = await opened(store)
    (record,) = (await store.scan("signing_key")).values()
    secret = "".join(record["pem"].splitlines()[1:-1])
    key = keys.SigningKey.from_record("k", record)
    assert secret not in repr(key)
    assert "d" not in key.public_jwk()
    assert "private" not in repr(key)
    assert secret not in repr(ring.jwks(T))


async def test_a_token_lives_ninety_seconds(store: Store) -> None:
    ring = await opened(store)
    claims = jwt.decode(ring.sign({"a": 1}, T + 999), options={"verify_signature": False})
    assert claims == {"a": 1, "iat": T // 1_000, "exp": T // 1_000 + 90}


@pytest.mark.parametrize("back", [1, 3_600_000])
async def test_a_clock_set_back_still_finds_a_key(store: Store, back: int) -> None:
    ring = await opened(store)
    assert kid_of(ring, T - back) in published(ring, T - back)


async def test_a_clock_that_was_set_back_hides_no_rotation(store: Store) -> None:
    ring = KeyRing(store)
    await ring.refresh(T + 3_600_000)
    new = (await KeyRing(store).rotate(T)).kid
    await ring.refresh(T)
    assert new in {key["kid"] for key in ring.jwks(T)["keys"]}
