"""Reaching a NATS cluster, and what the store needs there: a version, three streams, a consumer."""

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
import nats
import nats.errors
from nats.aio.client import Client

from nas_sdk._typing import override
from nas_server.logs import log_event
from nas_server.policy import JETSTREAM, JetStreamPolicy
from nas_server.store.base import StoreError
from nas_server.store.jetstream.link import AnswerError, JetStreamClient, Names

OLDEST: Final = (2, 12)
CONSUMER: Final = "relay"

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NOT_CLUSTERED: Final = 10074
_NO_ROOM: Final = 10005
_NO_STREAM: Final = 10059


@attrs.frozen
class Place:
    """Where a cluster is, as the store's URL says."""

    servers: tuple[str, ...]
    """URLs."""
    login: dict[str, Any] = attrs.field(repr=False)
    """``user`` and ``password``, or a ``token``, or nothing."""
    hosts: str
    """For people."""
    names: Names

    @classmethod
    def parse(cls, url: str) -> "Place":
        """Read ``nats://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][/NAME]``, or with ``tls://``.

        Raises StoreError, which does not repeat what may be a password.
        """
        scheme, _, rest = url.partition("://")
        address, _, name = rest.partition("/")
        login, _, hosts = address.rpartition("@")
        each = hosts.split(",")
        try:
            usable = all(urlsplit(f"//{host}").hostname for host in each)
            _ = [urlsplit(f"//{host}").port for host in each]
        except ValueError:
            usable = False
        if not usable or not _NAME.fullmatch(name or "NAS"):
            raise StoreError(
                "the store is to be nats://HOST:PORT,HOST:PORT,… (tls:// for TLS), with "
                "USER:PASSWORD@ before the hosts (percent-encoded) and /NAME after them where "
                "needed"
            )
        servers = tuple(f"{scheme}://{host}" for host in each)
        return cls(servers, _login(login), ", ".join(each), Names(name or "NAS"))


def _login(text: str) -> dict[str, str]:
    user, colon, password = text.partition(":")
    if colon:
        return {"user": unquote(user), "password": unquote(password)}
    return {"token": unquote(user)} if user else {}


class _Client(Client):
    """Keeps to TLS where a URL asks for it: the library leaves that to what the server says."""

    @override
    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        server = self._current_server
        plain = initial_connection and not info.get("tls_required")
        if plain and server is not None and server.uri.scheme == "tls":
            raise nats.errors.Error("it offers no TLS, and tls:// asks for it")
        await super()._process_info(info, initial_connection)


async def connect(place: Place, policy: JetStreamPolicy = JETSTREAM) -> Client:
    """Connect to a cluster that can do what the store needs; StoreError."""
    client = _Client()
    errors: list[Exception] = []

    async def note(error: Exception) -> None:
        if not (errors and isinstance(error, OSError)):  # what a server said tells more
            errors[:] = [error]
        if client.is_connected:
            log_event("nats_error", level=logging.WARNING, reason=_reason(error))

    try:
        await asyncio.wait_for(
            client.connect(
                list(place.servers),
                name="nas-server",
                error_cb=note,
                connect_timeout=2,
                ping_interval=policy.ping_s,
                max_outstanding_pings=2,
                reconnect_time_wait=1,
                max_reconnect_attempts=-1,
                pending_size=0,  # a write must not wait for a connection and come late
                **place.login,
            ),
            policy.connect_s,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        await client.close()
        reason = errors[0] if errors and isinstance(error, TimeoutError) else error
        raise StoreError(f"cannot reach NATS at {place.hosts}: {_reason(reason)}") from None
    version = client.connected_server_version
    if (version.major, version.minor) < OLDEST:
        await client.close()
        raise StoreError(
            f"nats-server at {place.hosts} is version {version.major}.{version.minor}."
            f"{version.patch}; the store needs message schedules, which came with "
            f"{OLDEST[0]}.{OLDEST[1]}: upgrade nats-server"
        )
    return client


async def prepare(link: JetStreamClient, hosts: str, *, create: bool = True) -> None:
    """Make the streams and the consumer where they are missing; StoreError.

    Without ``create``, nothing is made where there is no store at all.
    """
    names, policy = link.names, link.policy
    try:
        await link.api("INFO", {})
    except StoreError:
        raise StoreError(
            f"JetStream does not answer at {hosts}: nats-server is to run with it (-js), and of "
            "the servers of a cluster more than half"
        ) from None
    if not create and not await _found(link, names.state):
        raise StoreError(f"there is no store {names.name} at {hosts}: `nas-server serve` makes it")
    await _stream(
        link,
        {
            "name": names.state,
            "subjects": [names.subject(kind, ">") for kind in ("one", "dead", "kept")],
            "max_msgs_per_subject": 1,
            "discard": "new",
            "allow_msg_ttl": True,
            "allow_direct": True,
            "duplicate_window": policy.repeats_s * 1_000_000_000,
        },
    )
    await _stream(
        link,
        {
            "name": names.alarms,
            "subjects": [names.subject(kind, ">") for kind in ("at", "due")],
            "retention": "workqueue",
            "max_msgs_per_subject": 1,
            "allow_msg_schedules": True,
            "allow_rollup_hdrs": True,
        },
    )
    await _stream(
        link,
        {
            "name": names.history,
            "subjects": [names.subject("tried", ">")],
            "max_msgs_per_subject": policy.history.per_agent,
            "max_msgs": policy.history.in_all,
            "max_age": policy.history.keep_ms * 1_000_000,
            "discard": "old",
            "allow_direct": True,
            "duplicate_window": policy.repeats_s * 1_000_000_000,
        },
    )
    await consume(link)


async def consume(link: JetStreamClient) -> None:
    """Make the consumer that delivers the alarms that are due, or bring it up to date."""
    names = link.names
    config = {
        "durable_name": CONSUMER,
        "filter_subject": names.subject("due", ">"),
        "ack_policy": "explicit",
        "ack_wait": int(link.policy.hold_s * 1_000_000_000),
        "max_deliver": -1,
        "max_ack_pending": link.policy.held,
    }
    question = {"stream_name": names.alarms, "config": config}
    await link.api(f"CONSUMER.DURABLE.CREATE.{names.alarms}.{CONSUMER}", question)


async def _stream(link: JetStreamClient, wanted: Mapping[str, Any]) -> None:
    """Make a stream unless there is one; its replicas and limits are then the operator's."""
    found = await _found(link, wanted["name"])
    if not found:
        await _create(link, {**wanted, "storage": "file", "num_replicas": link.policy.replicas})
        return
    missing = [name for name, value in wanted.items() if found["config"].get(name) != value]
    if missing == ["discard"]:  # made before; with a limit it would give up the oldest
        config = {**found["config"], "discard": wanted["discard"]}
        await link.api(f"STREAM.UPDATE.{wanted['name']}", config)
        return
    if missing:
        raise StoreError(
            f"the NATS stream {wanted['name']} was not made by nas-server "
            f"({', '.join(missing)}): put another name behind the store's URL, as in "
            "nats://HOST:PORT/NAME"
        )


async def _found(link: JetStreamClient, stream: str) -> dict[str, Any]:
    """Return what the cluster says of a stream; nothing when there is none."""
    try:
        return await link.api(f"STREAM.INFO.{stream}", {})
    except AnswerError as error:
        if error.code != _NO_STREAM:
            raise
        return {}


async def _create(link: JetStreamClient, config: dict[str, Any]) -> None:
    patience = link.patience()
    while True:
        try:
            await link.api(f"STREAM.CREATE.{config['name']}", config)
        except AnswerError as error:
            if error.code == _NOT_CLUSTERED:
                config["num_replicas"] = 1
            elif error.code == _NO_ROOM:  # a cluster that is coming up finds its servers
                await patience.wait(
                    f"{link.policy.replicas} servers with JetStream are needed ({error})"
                )
            else:
                raise
        else:
            return


def _reason(error: Exception) -> str:
    words = str(error).removeprefix("nats: ").strip("'\"")
    return words or type(error).__name__
