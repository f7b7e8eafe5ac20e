"""How long a test waits for what is certain to come."""

from typing import Final

PATIENCE_S: Final = 120.0
"""Seconds for an event on a machine that is busy with other work. Only a failure takes them."""
