"""hermes's job store, read as it stands.

hermes's own reader repairs what it finds, and so forgets what it could not read. This one
writes nothing, and tells whether every record was understood: what is not known is not
taken for removed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeGuard


class Claim(TypedDict, total=False):
    """Who has a fire of a job, as hermes writes it; `at` is ISO 8601."""

    at: str


class Job(TypedDict, total=False):
    """What is read of hermes's record of a job; it has more."""

    id: str
    name: str
    enabled: bool
    state: str | None
    next_run_at: str | None
    paused_at: str | None
    schedule_display: str
    last_status: str | None
    fire_claim: Claim | None
    run_claim: Claim | None
    provider_backoff: Mapping[str, Any] | None


_TYPES: Mapping[str, tuple[type, ...]] = {
    "enabled": (bool,),
    "next_run_at": (str, type(None)),
    "state": (str, type(None)),
}
"""What decides whether and when a job fires, and the types that this can have."""


class Store(NamedTuple):
    """The jobs of one home that could be read."""

    jobs: tuple[Job, ...] = ()
    problem: str = ""
    """Why these may not be all; empty when they are."""
    is_missing: bool = False
    """There is no file: no job was ever made here, or the store is gone."""


def read(file: Path) -> Store:
    """The store in a file. Raises nothing: what is wrong with it is its `problem`."""
    try:
        return parse(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        if file.is_symlink():
            return Store(problem=f"{file} is a link to a file that is not there")
        return Store(problem=f"{file} is not there", is_missing=True)
    except UnicodeDecodeError:
        return Store(problem=f"{file} is not UTF-8")
    except OSError as error:
        return Store(problem=f"{file} cannot be read: {error.strerror or type(error).__name__}")
    except _UnusableError as error:
        return Store(problem=f"{file} {error}")


class _UnusableError(ValueError):
    """No record of the store can be read."""


@functools.lru_cache(maxsize=1)  # a fire reads the store several times, mostly the same text
def parse(text: str) -> Store:
    """The store in a text. Raises ValueError for one without a list of jobs."""
    data, damage = _loads(text)
    # hermes writes {"jobs": []} for the last job removed; an empty object was left by others.
    records = data.get("jobs", None if data else []) if isinstance(data, dict) else data
    if isinstance(records, dict):  # by job id, as other tools write it
        records = [_with_id(job_id, record) for job_id, record in records.items()]
    if not isinstance(records, list):
        raise _UnusableError("holds no list of jobs")
    jobs = tuple(record for record in records if _is_job(record))
    if lost := len(records) - len(jobs):
        return Store(jobs, f"{lost} of {len(records)} jobs in the store cannot be read")
    return Store(jobs, damage)


def _loads(text: str) -> tuple[Any, str]:
    """The text's value, and what is wrong with it though hermes would read it all the same."""
    try:
        try:
            return json.loads(text), ""
        except ValueError:
            return json.loads(text, strict=False), "the job store has raw control characters in it"
    except (ValueError, RecursionError):
        raise _UnusableError("is not JSON") from None


def _with_id(job_id: str, record: object) -> object:
    return {**record, "id": record.get("id") or job_id} if isinstance(record, dict) else record


def _is_job(record: object) -> TypeGuard[Job]:
    return (
        isinstance(record, dict)
        and isinstance(record.get("id"), str)
        and record["id"] != ""
        and record["id"].isprintable()
        and all(isinstance(record[key], types) for key, types in _TYPES.items() if key in record)
    )
