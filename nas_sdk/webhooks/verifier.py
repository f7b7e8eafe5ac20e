"""Receive a fire: NAS calls an agent because a job is due.

Any framework will do: a verifier takes the request's headers and body, and returns a
`Fire` or raises a `FireError` that knows the status and the body to answer with. Needs the
extra `webhooks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import attrs

from .._core.clock import wall_time
from .._core.config import checked_callable, checked_span, checked_text
from .._core.instants import parse_instant
from .._core.schemas import fitting
from .._core.strict_json import UnreadableError, read_object
from .._core.validation import is_job_id
from ..errors import ConfigurationError
from ._keys import UnusableKeyError, VerifyKey, parse_key_set, parse_pem
from ._token import FireClaims, Header, Rules, check_token, read_header
from .errors import BadFireError, FireRefused
from .jwks import JwksCache

BODY_MAX: Final = 64 * 1024
"""Longest body that is read, in bytes."""


class HasItems(Protocol):
    """Headers as most frameworks have them; of any case."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


Headers = HasItems | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
"""What frameworks call headers, or pairs as in an ASGI scope."""


Body = bytes | bytearray | memoryview | str
"""The body of a request, as frameworks have it."""


class Keys(Protocol):
    """Where a verifier finds keys; `JwksCache` is one."""

    @property
    def is_warm(self) -> bool:
        """Whether there are keys at all."""

    def get(self, kid: str) -> VerifyKey | None:
        """The key of that id."""

    async def get_async(self, kid: str) -> VerifyKey | None:
        """The key of that id."""


KeySource = JwksCache | str | bytes | Mapping[str, object]
"""A cache; a JWKS URL; the PEM text of a public key; or a JWK set."""


@attrs.frozen
class Fire:
    """A fire that may be believed: this job was due at that instant.

    NAS delivers at least once, so the same fire may come again.
    """

    claims: FireClaims
    job_id: str
    fire_at: str
    """The text as NAS sent it; compare instants, not texts."""
    fire_at_ms: int
    """The instant, in milliseconds since the epoch."""
    more: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    """What else the contract has for a fire and NAS said; nothing so far."""


class _Verifier:
    """What both verifiers share: everything but the look-up of the key."""

    def __init__(
        self,
        jwks: KeySource,
        *,
        audience: str,
        issuer: str | None,
        leeway: float = 30.0,
        clock: Callable[[], float] = wall_time,
    ) -> None:
        """Refuse every token that is not a fire of `issuer` for `audience`.

        jwks: where the keys are; see `KeySource`. A URL gets a cache of its own, so make one
            verifier and keep it.
        audience: the one `aud`, such as `agent:7f3a`.
        issuer: the base URL of NAS; slashes at its end make no difference. None accepts any
            issuer the keys vouch for.
        leeway: seconds by which clocks may differ.
        clock: seconds since the epoch.

        Raises ConfigurationError for what cannot work, ImportError without the extra.
        """
        checked_text("audience", audience, "or every token would be refused")
        if issuer is not None:  # an empty one may be a setting that somebody forgot
            checked_text("issuer", issuer, "or None to accept any issuer")
        checked_span("leeway", leeway)
        checked_callable("clock", clock)
        self._rules = Rules(audience, None if issuer is None else issuer.rstrip("/"), leeway)
        self._keys = _keys(jwks)
        self._clock = clock

    def _claims(self, token: str, header: Header, key: VerifyKey | None) -> FireClaims:
        """By whichever key of that id verifies it."""
        if key is None:
            raise FireRefused("key" if self._keys.is_warm else "keys_unavailable")
        for other in key.also:
            with suppress(FireRefused):
                return check_token(token, header, other, self._rules, self._clock())
        return check_token(token, header, key, self._rules, self._clock())


class FireVerifier(_Verifier):
    """Verifies fires in threads: with a `JwksCache` it may wait for a fetch of keys."""

    def verify(self, headers: Headers | str | None, body: Body) -> Fire:
        """The fire of a request: its headers, or the token itself, and its body.

        Raises FireRefused (answer 401) or BadFireError (answer 400), and nothing else.
        """
        return _fire(self.verify_token(_token(headers)), body)

    def verify_token(self, token: str) -> FireClaims:
        """The claims of a fire token. Raises FireRefused, and nothing else."""
        header = read_header(token)
        return self._claims(token, header, self._keys.get(header.kid or ""))


class AsyncFireVerifier(_Verifier):
    """`FireVerifier` for tasks: the event loop goes on while keys are fetched."""

    async def verify(self, headers: Headers | str | None, body: Body) -> Fire:
        """See `FireVerifier.verify`."""
        return _fire(await self.verify_token(_token(headers)), body)

    async def verify_token(self, token: str) -> FireClaims:
        """See `FireVerifier.verify_token`."""
        header = read_header(token)
        return self._claims(token, header, await self._keys.get_async(header.kid or ""))


class _FixedKeys:
    """Keys that never change: of a JWK set, or one that is right whatever the `kid`."""

    is_warm = True

    def __init__(self, keys: Mapping[str, VerifyKey], only: VerifyKey | None = None) -> None:
        self._by_kid = keys
        self._only = only

    def get(self, kid: str) -> VerifyKey | None:
        return self._by_kid.get(kid, self._only)

    async def get_async(self, kid: str) -> VerifyKey | None:
        return self.get(kid)


def _keys(source: KeySource) -> Keys:
    if isinstance(source, JwksCache):
        return source
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return JwksCache(source)
    try:
        if isinstance(source, Mapping):
            return _FixedKeys(parse_key_set(source))
        return _FixedKeys({}, parse_pem(source))
    except UnusableKeyError as error:
        raise ConfigurationError(f"jwks: {error}") from None


def _token(headers: object) -> str:
    """The bearer token. Two of them could mean different things to us and to a proxy."""
    if isinstance(headers, str | bytes):
        text = _text(headers)
        return _bearer(text) if " " in text.strip() else text
    items = getattr(headers, "items", None)
    try:
        pairs: Any = items() if callable(items) else headers
        found = [value for name, value in pairs if _text(name).lower() == "authorization"]
    except (TypeError, ValueError):  # nothing that pairs can be read from
        raise FireRefused("missing") from None
    while len(found) == 1 and isinstance(found[0], list | tuple):  # as of API gateways
        found = list(found[0])
    if len(found) != 1 or not isinstance(found[0], str | bytes):
        raise FireRefused("missing")
    return _bearer(_text(found[0]))


def _bearer(text: str) -> str:
    scheme, _, token = text.strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise FireRefused("missing")
    return token.strip()


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _fire(claims: FireClaims, body: object) -> Fire:
    if isinstance(body, bytearray | memoryview):
        body = bytes(body)
    if not isinstance(body, bytes | str):
        raise BadFireError(f"the body is neither bytes nor a text but {type(body).__name__}")
    if len(body) > BODY_MAX:
        raise BadFireError(f"the body is longer than {BODY_MAX} bytes")
    try:
        members = read_object(body)
    except UnreadableError as error:
        raise BadFireError(f"the body {error}") from None
    job_id, fire_at = members.get("job_id"), members.get("fire_at", "")
    if not is_job_id(job_id):
        raise BadFireError("job_id: it is missing, or no job id", field="job_id")
    try:
        more = fitting("FireRequest", members)
        return Fire(claims, job_id, fire_at, parse_instant(fire_at), more)
    except ValueError as error:
        raise BadFireError(f"fire_at: {error}", field="fire_at") from None
