"""What this host's own base class has: hermes changes it from release to release.

Nothing here asks for a version. Whether a method is there, and which keywords it takes, is
read from the class itself, and each call hands on only what its method takes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class HostBase:
    """One host's `CronScheduler`, or another class of its own."""

    def __init__(self, base: type) -> None:
        """Look at nothing yet."""
        self.base = base

    def has(self, method: str) -> bool:
        """Whether the class has a method of that name."""
        return callable(getattr(self.base, method, None))

    def call(self, method: str, provider: object, *given: object, **options: object) -> Any:
        """Call the class's own method on `provider`; None where there is no such method.

        Of `options` it is given those that it takes.
        """
        if not self.has(method):
            return None
        own = getattr(self.base, method)
        return own(provider, *given, **taken_by(own, options))


def taken_by(method: Callable[..., object], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that a method takes by keyword; all where it cannot be told."""
    names = _keywords(method)
    return {name: value for name, value in options.items() if names is None or name in names}


@functools.lru_cache(maxsize=64)
def _keywords(method: Callable[..., object]) -> frozenset[str] | None:
    """The keywords a method takes; None: any."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return None
    return frozenset(each.name for each in parameters if each.kind in _NAMED)
