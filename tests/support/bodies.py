"""Bodies of fires that are not as NAS sends them, by chance."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

Body = tuple[str, bytes]
"""What is wrong, and the body."""

_MEMBERS = ("job_id", "fire_at", "dedup_key", "JOB_ID", "job_id ", "", "__proto__", "manual")


def generated_bodies(seed: int, count: int, job_id: str) -> Iterator[Body]:
    """So many bodies, the same ones for the same seed; good ones would name `job_id`."""
    chance = random.Random(seed)
    good = json.dumps({"job_id": job_id, "fire_at": "2026-06-18T12:34:56+00:00"}).encode()
    for _ in range(count):
        make = chance.choice(_MAKERS)
        yield make.__name__.strip("_").replace("_", " "), make(chance, good)


def _a_byte_replaced(chance: random.Random, good: bytes) -> bytes:
    at = chance.randrange(len(good))
    return good[:at] + chance.randbytes(1) + good[at + 1 :]


def _bytes_inserted(chance: random.Random, good: bytes) -> bytes:
    at = chance.randrange(len(good) + 1)
    return good[:at] + chance.randbytes(chance.choice((1, 1, 2, 40))) + good[at:]


def _cut_off(chance: random.Random, good: bytes) -> bytes:
    return good[: chance.randrange(len(good))]


def _good_and_more(chance: random.Random, good: bytes) -> bytes:
    return good + chance.choice((good, b",", b"]", b"\x00", b"//", chance.randbytes(9)))


def _random_bytes(chance: random.Random, good: bytes) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 8, 300, 5000)))


def _another_encoding(chance: random.Random, good: bytes) -> bytes:
    name = chance.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp037"))
    return good.decode().encode(name)


def _another_type(chance: random.Random, good: bytes) -> bytes:
    return json.dumps(_value(chance, 2)).encode()


def _nested_deeply(chance: random.Random, good: bytes) -> bytes:
    depth = chance.choice((50, 500, 20_000))
    opening, closing = chance.choice((("[", "]"), ('{"job_id":', "}")))
    return (opening * depth + "1" + closing * chance.choice((depth, 0))).encode()


def _job_id_of_another_type(chance: random.Random, good: bytes) -> bytes:
    return json.dumps({**json.loads(good), "job_id": _value(chance, 2)}).encode()


def _a_strange_job_id(chance: random.Random, good: bytes) -> bytes:
    job_id = json.loads(good)["job_id"]
    strange = chance.choice(
        (
            f"{job_id} ",
            job_id.upper() + "\x00",
            f"../{job_id}",
            f"{job_id}' OR '1'='1",
            "%s%n",
            "x" * chance.choice((300, 70_000)),
            "".join(chr(chance.randrange(32, 0xD800)) for _ in range(12)),
            chance.randbytes(6).hex(),
        )
    )
    return json.dumps({"job_id": strange}).encode()


def _a_member_twice(chance: random.Random, good: bytes) -> bytes:
    first, second = (json.dumps(_value(chance, 1)) for _ in range(2))
    return f'{{"job_id": {first}, "job_id": {second}}}'.encode()


def _other_members(chance: random.Random, good: bytes) -> bytes:
    names = chance.sample(_MEMBERS, 4)
    return json.dumps({name: _value(chance, 2) for name in names}).encode()


def _no_json(chance: random.Random, good: bytes) -> bytes:
    return chance.choice((b"NaN", b"job_id=1", b"<job_id/>", b"'a'", b"{job_id: 1}", b"null", b""))


def _value(chance: random.Random, depth: int) -> Any:
    if depth and chance.random() < 0.4:
        values = [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
        return values if chance.random() < 0.5 else dict(zip(_MEMBERS, values, strict=False))
    return chance.choice(
        (None, True, False, 0, -1, 10**40, 1.5, "", " ", "x", chance.randbytes(6).hex())
    )


_MAKERS = (
    _a_byte_replaced,
    _bytes_inserted,
    _cut_off,
    _good_and_more,
    _random_bytes,
    _another_encoding,
    _another_type,
    _nested_deeply,
    _job_id_of_another_type,
    _a_strange_job_id,
    _a_member_twice,
    _other_members,
    _no_json,
)
