"""Broken fire tokens by chance."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator

from tests.support.mint import ALGORITHMS, AUDIENCE, b64, good_claims, good_token, signed

Broken = tuple[str, str]
"""What is wrong, and the token."""


def generated_tokens(seed: int, count: int, now: float | None = None) -> Iterator[Broken]:
    """So many broken tokens, different ones for every seed, the same ones for the same seed.

    (The keys and with them the signatures differ from run to run.)
    """
    moment = time.time() if now is None else now
    chance = random.Random(seed)
    goods = [good_token(moment, alg=alg) for alg in ALGORITHMS]
    for _ in range(count):
        make = chance.choice(_MUTATIONS)
        good = chance.choice(goods)
        token = make(chance, good, moment)
        while token in goods:
            token = make(chance, good, moment)
        yield make.__name__.strip("_").replace("_", " "), token


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _a_character_replaced(chance: random.Random, good: str, now: float) -> str:
    at = chance.randrange(len(good))
    return f"{good[:at]}{chance.choice(_ALPHABET)}{good[at + 1 :]}"


def _a_character_inserted(chance: random.Random, good: str, now: float) -> str:
    at = chance.randrange(len(good) + 1)
    symbol = chance.choice([*_ALPHABET, ".", "=", "+", "/", " ", "\n", chr(chance.randrange(256))])
    return f"{good[:at]}{symbol}{good[at:]}"


def _characters_removed(chance: random.Random, good: str, now: float) -> str:
    at = chance.randrange(len(good))
    return good[:at] + good[at + chance.choice([1, 1, 2, 4, 40]) :]


def _a_bit_flipped(chance: random.Random, good: str, now: float) -> str:
    parts = good.split(".")
    at = chance.randrange(3)
    data = bytearray(base64.urlsafe_b64decode(parts[at] + "=="))
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    parts[at] = b64(bytes(data))
    return ".".join(parts)


def _parts_of_two_tokens(chance: random.Random, good: str, now: float) -> str:
    other = good_token(now, alg=chance.choice(["ES256", "ES384"]), x=chance.random())
    header, payload, signature = good.split(".")
    theirs = other.split(".")
    return chance.choice(
        [
            f"{header}.{payload}.{theirs[2]}",
            f"{header}.{theirs[1]}.{signature}",
            f"{theirs[0]}.{payload}.{signature}",
            f"{theirs[0]}.{theirs[1]}.{signature}",
        ]
    )


def _random_bytes(chance: random.Random, good: str, now: float) -> str:
    sizes = [chance.randrange(1, 400) for _ in range(chance.choice([2, 3, 3, 3, 4]))]
    return ".".join(b64(chance.randbytes(size)) for size in sizes)


def _a_random_value_for_a_claim(chance: random.Random, good: str, now: float) -> str:
    name = chance.choice(["aud", "iss", "purpose", "exp", "iat", "nbf"])
    values: list[object] = [
        chance.randbytes(8).hex(),
        chance.randrange(int(now) - 700),
        chance.randrange(int(now) + 700, 10**12),
        chance.random(),
        [AUDIENCE, chance.randbytes(2).hex()],
        {"a": chance.random()},
        bool(chance.randrange(2)),
    ]
    if name == "nbf":  # a small one is no fault: that time has come
        values = [value for value in values if not _is_time_past(value, now)]
    return signed(good_claims(now, **{name: chance.choice(values)}), alg="ES256")


def _is_time_past(value: object, now: float) -> bool:
    return type(value) in (int, float) and isinstance(value, int | float) and value < now


def _a_random_value_in_the_header(chance: random.Random, good: str, now: float) -> str:
    name = chance.choice(["alg", "kid", "jku", "jwk", "x5u", "crit"])
    values = [chance.randbytes(6).hex(), chance.random(), [chance.random()], {"a": 1}, False]
    return signed(good_claims(now), alg="ES256", header={name: chance.choice(values)})


_MUTATIONS = (
    _a_character_replaced,
    _a_character_inserted,
    _characters_removed,
    _a_bit_flipped,
    _parts_of_two_tokens,
    _random_bytes,
    _a_random_value_for_a_claim,
    _a_random_value_in_the_header,
)
