"""Receive a fire: NAS calls an agent because a job is due.

Any framework will do: a verifier takes the request's headers and body, and returns a
`Fire` or raises a `FireError` that knows the status and the body to answer with. Needs the
extra `webhooks`.
"""

from ._token import FireClaims
from .errors import BadFireError, FireError, FireRefused, Reason
from .jwks import JwksCache
from .verifier import AsyncFireVerifier, Fire, FireVerifier, Headers, KeySource

__all__ = [
    "AsyncFireVerifier",
    "BadFireError",
    "Fire",
    "FireClaims",
    "FireError",
    "FireRefused",
    "FireVerifier",
    "Headers",
    "JwksCache",
    "KeySource",
    "Reason",
]
