"""Reacting to errors; every line must type-check."""

from nas_sdk import (
    BadRequestError,
    IdentityRejectedError,
    NasClient,
    NasError,
    RateLimitedError,
    StatusError,
)


def describe(error: NasError) -> str:
    if isinstance(error, RateLimitedError):
        wait: float | None = error.retry_after
        return f"wait {wait}"
    if isinstance(error, BadRequestError):
        field: str | None = error.field
        return f"bad {field}"
    if isinstance(error, StatusError):
        status: int = error.status
        code: str | None = error.code
        return f"{status} {code}"
    attempts: int = error.attempts
    request_id: str | None = error.request_id
    return f"{attempts} {error.elapsed:.1f} {request_id}"


try:
    NasClient().cancel("job-1")
except IdentityRejectedError as rejected:
    print(rejected.description)
except NasError as other:
    print(describe(other))
