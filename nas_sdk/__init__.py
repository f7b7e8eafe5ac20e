"""A typed client of NAS agent cron, sync and async.

Names are loaded when first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from ._generated.models import ArmedOneShot, ProvisionResult
    from .aclient import AsyncNasClient
    from .auth import AsyncTokenSource, TokenSource
    from .batch import Arm, Outcome
    from .client import NasClient
    from .clocks import Clock
    from .errors import (
        BadRequestError,
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
    from .fire_errors import BadFireError, FireError, FireRefused
    from .fire_tokens import FireClaims
    from .jwks import JwksCache
    from .observe import RequestEvent, ResponseEvent, RetryEvent
    from .times import format_instant, parse_instant
    from .webhooks import AsyncFireVerifier, Fire, FireVerifier

__all__ = [
    "Arm",
    "ArmedOneShot",
    "AsyncFireVerifier",
    "AsyncNasClient",
    "AsyncTokenSource",
    "BadFireError",
    "BadRequestError",
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
    "Outcome",
    "ProvisionResult",
    "RateLimitedError",
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
    "aclient": ("AsyncNasClient",),
    "auth": ("AsyncTokenSource", "TokenSource"),
    "batch": ("Arm", "Outcome"),
    "client": ("NasClient",),
    "clocks": ("Clock",),
    "fire_errors": ("BadFireError", "FireError", "FireRefused"),
    "fire_tokens": ("FireClaims",),
    "jwks": ("JwksCache",),
    "observe": ("RequestEvent", "ResponseEvent", "RetryEvent"),
    "times": ("format_instant", "parse_instant"),
    "webhooks": ("AsyncFireVerifier", "Fire", "FireVerifier"),
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
