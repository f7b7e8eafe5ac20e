"""Optional fields of requests, by operation. Written by scripts/regen."""

from __future__ import annotations

from typing import TypedDict


class KeySetOptions(TypedDict, total=False):
    pass


class CancelOptions(TypedDict, total=False):
    pass


class ListOptions(TypedDict, total=False):
    pass


class ProvisionOptions(TypedDict, total=False):
    pass
