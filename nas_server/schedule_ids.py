"""Names of one-shots, drawn from the system's randomness many at a time."""

import secrets
from typing import Final

SIZE: Final = 10
"""Random bytes of a name, as `nas_sdk.protocol.one_shot.new_schedule_id` has them."""
AT_ONCE: Final = 256
"""To ask the system costs the thread its turn."""


class ScheduleIds:
    """Gives fresh opaque names. Not for use on both sides of a fork."""

    def __init__(self) -> None:
        self._left: list[str] = []

    def new(self) -> str:
        """Return a name that nobody else has."""
        if not self._left:
            drawn = secrets.token_hex(SIZE * AT_ONCE)
            size = 2 * SIZE
            self._left = [drawn[at : at + size] for at in range(0, len(drawn), size)]
        return f"os_{self._left.pop()}"
