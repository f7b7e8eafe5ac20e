"""`override` of `typing`, which has it since Python 3.12, at no cost and with no dependency."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import override as override
else:

    def override(method):
        """Mark a method that replaces one of a base class: type checkers compare the two."""
        return method
