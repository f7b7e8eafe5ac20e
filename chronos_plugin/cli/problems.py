"""What a command tells a person instead of a traceback."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818 - it is printed, as a sentence
    """One line that says what is wrong and what to do."""


class ElsewhereError(Exception):
    """hermes is in another Python than this one."""
