"""Random cases for a check, by hypothesis, within the bounds of the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import hypothesis
from hypothesis.strategies import SearchStrategy

from .context import Context
from .wire import CheckFailed

T = TypeVar("T")


class _Enough(BaseException):
    """Ends a run of hypothesis at once; it would take an Exception for a test that failed."""


def first_broken(
    context: Context, strategy: SearchStrategy[T], count: int, act: Callable[[T], None]
) -> tuple[T, CheckFailed] | None:
    """Act on up to `count` cases; the first that broke a promise, and how.

    Hypothesis generates and does not shrink: that may take thousands of requests, and the
    NAS may be far away.
    """
    found: list[tuple[T, CheckFailed]] = []

    def each(case: T) -> None:
        if context.seconds_left <= 0:
            raise _Enough
        try:
            act(case)
        except CheckFailed as broken:
            found.append((case, broken))
            raise _Enough from None

    settings = hypothesis.settings(
        max_examples=count,
        phases=[hypothesis.Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with suppress(_Enough):
        hypothesis.seed(context.options.seed)(settings(hypothesis.given(strategy)(each)))()
    return found[0] if found else None
