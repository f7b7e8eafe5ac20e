from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.error import Error
from ...models.key_set import KeySet
from typing import cast


def _get_kwargs() -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/.well-known/jwks.json",
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Error | KeySet | None:
    if response.status_code == 200:
        response_200 = KeySet.from_dict(response.json())

        return response_200

    if response.status_code == 429:
        response_429 = Error.from_dict(response.json())

        return response_429

    if 500 <= response.status_code <= 599:
        response_5xx = Error.from_dict(response.json())

        return response_5xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[Error | KeySet]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
) -> Response[Error | KeySet]:
    """The keys that sign fire tokens

     The JSON Web Key Set (RFC 7517) of NAS. It is public and holds public keys alone.

    A key is listed before the first token it signs and until the last of them has
    expired, so a receiver may keep the set for as long as `Cache-Control` says, and
    fetches it again when a token names a `kid` that it does not have.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Error | KeySet]
    """

    kwargs = _get_kwargs()

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
) -> Error | KeySet | None:
    """The keys that sign fire tokens

     The JSON Web Key Set (RFC 7517) of NAS. It is public and holds public keys alone.

    A key is listed before the first token it signs and until the last of them has
    expired, so a receiver may keep the set for as long as `Cache-Control` says, and
    fetches it again when a token names a `kid` that it does not have.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Error | KeySet
    """

    return sync_detailed(
        client=client,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
) -> Response[Error | KeySet]:
    """The keys that sign fire tokens

     The JSON Web Key Set (RFC 7517) of NAS. It is public and holds public keys alone.

    A key is listed before the first token it signs and until the last of them has
    expired, so a receiver may keep the set for as long as `Cache-Control` says, and
    fetches it again when a token names a `kid` that it does not have.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Error | KeySet]
    """

    kwargs = _get_kwargs()

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
) -> Error | KeySet | None:
    """The keys that sign fire tokens

     The JSON Web Key Set (RFC 7517) of NAS. It is public and holds public keys alone.

    A key is listed before the first token it signs and until the last of them has
    expired, so a receiver may keep the set for as long as `Cache-Control` says, and
    fetches it again when a token names a `kid` that it does not have.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Error | KeySet
    """

    return (
        await asyncio_detailed(
            client=client,
        )
    ).parsed
