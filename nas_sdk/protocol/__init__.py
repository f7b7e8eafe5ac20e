"""The contract's rules of one-shots, pure: the test double and the server share them."""

from .one_shot import StoredOneShot

__all__ = ["StoredOneShot"]
