"""What a command tells a person instead of a traceback."""

from __future__ import annotations

import re


class Problem(Exception):  # noqa: N818 - it is printed, as a sentence
    """One line that says what is wrong and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(without_user_info(text))


def without_user_info(text: str) -> str:
    """What a person may see of a text with URLs in it, which may have a password in them."""
    return re.sub(r"//\S*@", "//…@", text)


class ElsewhereError(Exception):
    """hermes is in another Python than this one."""
