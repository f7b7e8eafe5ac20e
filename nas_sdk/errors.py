"""The errors of this package: one class per thing a caller can react to.

Every one is a `NasError`, says how many requests were sent for the call (`attempts`) and
how long it took (`elapsed`, seconds), and never holds a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._typing import override

if TYPE_CHECKING:
    import httpx

__all__ = [
    "BadRequestError",
    "CertificateError",
    "ConfigurationError",
    "ContractError",
    "ForbiddenError",
    "IdentityRejectedError",
    "InvalidRequestError",
    "NasConnectionError",
    "NasError",
    "NasTimeoutError",
    "RateLimitedError",
    "ResponseError",
    "ServerError",
    "StatusError",
    "TokenError",
    "UnauthorizedError",
    "UnexpectedStatusError",
]


class NasError(Exception):
    """Base of all errors."""

    attempts: int = 0
    elapsed: float = 0.0
    request_id: str | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @override
    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy without `__init__`, whose arguments differ from class to class."""
        return _rebuilt, (type(self), self.args, self.__dict__)

    @property
    def message(self) -> str:
        """One sentence for people, without the counts that `str` adds."""
        return str(self.args[0])

    @override
    def __str__(self) -> str:
        if not self.attempts:
            return self.message
        noun = "attempt" if self.attempts == 1 else "attempts"
        return f"{self.message} ({self.attempts} {noun}, {self.elapsed:.1f} s)"


def _rebuilt(kind: type[NasError], args: tuple[object, ...], state: dict[str, object]) -> NasError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(NasError, ValueError):
    """The client was set up wrongly: no or a bad base URL, no token, a bad option."""


class InvalidRequestError(NasError, ValueError):
    """An argument breaks the contract. Nothing was sent; `field` names the argument."""

    field: str | None

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class TokenError(NasError):
    """The token source failed, or returned something that is no token."""


class NasConnectionError(NasError):
    """No answer: refused, unreachable, TLS, or dropped on the way."""


class NasTimeoutError(NasConnectionError):
    """No answer in time, or the deadline of the call has passed."""


class CertificateError(NasConnectionError):
    """The server's certificate is not trusted. Not tried again: the next one is the same.

    Pass `verify` for a certificate authority of your own.
    """


class ResponseError(NasError):
    """NAS answered, but not with a success that can be used. Base of the next two kinds.

    `response` is a copy of the answer with its body read, or None for an error built by hand.
    It is not connected to the request that was sent, so it holds no token.
    """

    def __init__(
        self, message: str, *, status: int = 0, response: httpx.Response | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.response = response


class ContractError(ResponseError):
    """A 200 whose body breaks the contract. Sending the call again is safe, but no remedy."""


class StatusError(ResponseError):
    """NAS answered with another status than 200.

    `code` and `description` are the members `error` and `error_description` of the body,
    None where it had none; `retry_after` is the wait that was asked for, in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str | None = None,
        description: str | None = None,
        response: httpx.Response | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, response=response)
        self.code = code
        self.description = description
        self.retry_after = retry_after


class BadRequestError(StatusError):
    """400: the request breaks the contract; `field` is the name NAS gave, if it gave one."""

    @property
    def field(self) -> str | None:
        """The request's member that is wrong, read from the description (`fire_at: …`)."""
        name, colon, _ = (self.description or "").partition(":")
        return name if colon and name.isidentifier() else None


class UnauthorizedError(StatusError):
    """401, also with a fresh token: missing, expired or unknown. Log in again."""


class ForbiddenError(StatusError):
    """403 that is not about the agent's identity, such as a firewall's."""


class IdentityRejectedError(ForbiddenError):
    """403 `invalid_client`: the token is real but belongs to no provisioned agent.

    Neither trying again nor logging in again fixes this: the hosted credential must be
    restored in the portal.
    """


class RateLimitedError(StatusError):
    """429: too many requests; wait `retry_after` seconds."""


class ServerError(StatusError):
    """5xx, from NAS or from a gateway in front of it."""


class UnexpectedStatusError(StatusError):
    """A status the contract does not have, redirects included: none is followed."""
