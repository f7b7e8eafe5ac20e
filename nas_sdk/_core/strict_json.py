"""JSON that two readers cannot understand differently. Pure."""

from __future__ import annotations

import json
from typing import Any


class UnreadableError(ValueError):
    """What is wrong with a text, as a predicate: "is not UTF-8"."""


def read_object(data: bytes | str) -> dict[str, Any]:
    """The object that is all of `data`, in UTF-8.

    Raises UnreadableError for anything else: no member may be
    there twice, no number may be NaN or infinite, and nothing may be nested too deeply.
    """
    try:
        value = _DECODER.decode(data if isinstance(data, str) else data.decode("utf-8"))
    except UnreadableError:
        raise
    except UnicodeDecodeError:
        raise UnreadableError("is not UTF-8") from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    except ValueError:  # also of an integer of more digits than Python reads
        raise UnreadableError("is not JSON") from None
    if not isinstance(value, dict):
        raise UnreadableError("is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnreadableError("has a member twice")
    return members


def _no_such_number(name: str) -> None:
    raise UnreadableError(f"is not JSON: it has no {name}")


# Made once: json.loads with these arguments makes a decoder for every call.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_such_number)
