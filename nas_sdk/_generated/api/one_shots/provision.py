from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.error import Error
from ...models.provision_request import ProvisionRequest
from ...models.provision_result import ProvisionResult
from typing import cast


def _get_kwargs(
    *,
    body: ProvisionRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/agent-cron/provision",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Error | ProvisionResult | None:
    if response.status_code == 200:
        response_200 = ProvisionResult.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = Error.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = Error.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Error.from_dict(response.json())

        return response_403

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
) -> Response[Error | ProvisionResult]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: ProvisionRequest,
) -> Response[Error | ProvisionResult]:
    """Arm the one-shot of a job

     Arms exactly one one-shot for `job_id` at `fire_at`.

    - The job has no one-shot: one is armed.
    - It has one with the same `dedup_key`: nothing changes; the answer names it.
    - It has one with another `dedup_key`: the new one replaces it. This holds while
      the earlier one is being delivered, too: its outcome does not touch the new one.
    - `dedup_key` was delivered and accepted within the last 10 minutes: the answer
      names that one-shot and nothing is armed, so a request that was delayed on the
      way cannot cause a second fire. After that window the key arms again.

    A `fire_at` in the past fires at once. Seconds and fractions are honoured.

    Args:
        body (ProvisionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Error | ProvisionResult]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: ProvisionRequest,
) -> Error | ProvisionResult | None:
    """Arm the one-shot of a job

     Arms exactly one one-shot for `job_id` at `fire_at`.

    - The job has no one-shot: one is armed.
    - It has one with the same `dedup_key`: nothing changes; the answer names it.
    - It has one with another `dedup_key`: the new one replaces it. This holds while
      the earlier one is being delivered, too: its outcome does not touch the new one.
    - `dedup_key` was delivered and accepted within the last 10 minutes: the answer
      names that one-shot and nothing is armed, so a request that was delayed on the
      way cannot cause a second fire. After that window the key arms again.

    A `fire_at` in the past fires at once. Seconds and fractions are honoured.

    Args:
        body (ProvisionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Error | ProvisionResult
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: ProvisionRequest,
) -> Response[Error | ProvisionResult]:
    """Arm the one-shot of a job

     Arms exactly one one-shot for `job_id` at `fire_at`.

    - The job has no one-shot: one is armed.
    - It has one with the same `dedup_key`: nothing changes; the answer names it.
    - It has one with another `dedup_key`: the new one replaces it. This holds while
      the earlier one is being delivered, too: its outcome does not touch the new one.
    - `dedup_key` was delivered and accepted within the last 10 minutes: the answer
      names that one-shot and nothing is armed, so a request that was delayed on the
      way cannot cause a second fire. After that window the key arms again.

    A `fire_at` in the past fires at once. Seconds and fractions are honoured.

    Args:
        body (ProvisionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Error | ProvisionResult]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: ProvisionRequest,
) -> Error | ProvisionResult | None:
    """Arm the one-shot of a job

     Arms exactly one one-shot for `job_id` at `fire_at`.

    - The job has no one-shot: one is armed.
    - It has one with the same `dedup_key`: nothing changes; the answer names it.
    - It has one with another `dedup_key`: the new one replaces it. This holds while
      the earlier one is being delivered, too: its outcome does not touch the new one.
    - `dedup_key` was delivered and accepted within the last 10 minutes: the answer
      names that one-shot and nothing is armed, so a request that was delayed on the
      way cannot cause a second fire. After that window the key arms again.

    A `fire_at` in the past fires at once. Seconds and fractions are honoured.

    Args:
        body (ProvisionRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Error | ProvisionResult
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
