"""A typed client of NAS agent cron, sync and async.

Names are loaded when first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core.bulk import Arm, BulkResult
    from ._core.clock import Clock
    from ._core.events import RequestEvent, ResponseEvent, RetryEvent
    from ._core.instants import format_instant, parse_instant
    from ._core.replies import Reply
    from ._core.tokens import AccessToken, AsyncTokenSource, TokenSource
    from ._generated.models import ArmedOneShot, ProvisionResult
    from ._version import __version__
    from .aclient import AsyncNasClient
    from .client import NasClient
    from .errors import (
        BadRequestError,
        CertificateError,
        ConfigurationError,
        ContractError,
        ForbiddenError,
        IdentityRejectedError,
        InvalidRequestError,
        NasConnectionError,
        NasError,
        NasTimeoutError,
        RateLimitedError,
        ResponseError,
        ServerError,
        StatusError,
        TokenError,
        UnauthorizedError,
        UnexpectedStatusError,
    )
    from .webhooks._token import FireClaims
    from .webhooks.errors import BadFireError, FireError, FireRefused
    from .webhooks.jwks import JwksCache
    from .webhooks.verifier import AsyncFireVerifier, Fire, FireVerifier

__all__ = [
    "AccessToken",
    "Arm",
    "ArmedOneShot",
    "AsyncFireVerifier",
    "AsyncNasClient",
    "AsyncTokenSource",
    "BadFireError",
    "BadRequestError",
    "BulkResult",
    "CertificateError",
    "Clock",
    "ConfigurationError",
    "ContractError",
    "Fire",
    "FireClaims",
    "FireError",
    "FireRefused",
    "FireVerifier",
    "ForbiddenError",
    "IdentityRejectedError",
    "InvalidRequestError",
    "JwksCache",
    "NasClient",
    "NasConnectionError",
    "NasError",
    "NasTimeoutError",
    "ProvisionResult",
    "RateLimitedError",
    "Reply",
    "RequestEvent",
    "ResponseError",
    "ResponseEvent",
    "RetryEvent",
    "ServerError",
    "StatusError",
    "TokenError",
    "TokenSource",
    "UnauthorizedError",
    "UnexpectedStatusError",
    "__version__",
    "format_instant",
    "parse_instant",
]

_HOMES = {
    "_generated.models": ("ArmedOneShot", "ProvisionResult"),
    "_version": ("__version__",),
    "aclient": ("AsyncNasClient",),
    "_core.tokens": ("AccessToken", "AsyncTokenSource", "TokenSource"),
    "_core.bulk": ("Arm", "BulkResult"),
    "client": ("NasClient",),
    "_core.clock": ("Clock",),
    "webhooks.errors": ("BadFireError", "FireError", "FireRefused"),
    "webhooks._token": ("FireClaims",),
    "webhooks.jwks": ("JwksCache",),
    "_core.events": ("RequestEvent", "ResponseEvent", "RetryEvent"),
    "_core.replies": ("Reply",),
    "_core.instants": ("format_instant", "parse_instant"),
    "webhooks.verifier": ("AsyncFireVerifier", "Fire", "FireVerifier"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
