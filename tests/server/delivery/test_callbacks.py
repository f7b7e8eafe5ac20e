"""Which addresses count as public."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_sdk.errors import InvalidRequestError
from nas_server.delivery import callbacks
from nas_server.delivery.connecting import Address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.0.192",
        "192.88.99.1",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd12::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "2001:0:7f00:1::1",
        "::7f00:1",
        "::808:808",
        "::ffff:0:7f00:1",
        "fec0::1",
        "feff::1",
    ],
)
def test_private(address: str) -> None:
    assert callbacks.is_private(address)
    with pytest.raises(callbacks.PrivateAddressError):
        callbacks.public([entry(address)])


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2003::1", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8"]
)
def test_public(address: str) -> None:
    assert not callbacks.is_private(address)
    assert callbacks.public([entry("10.0.0.1"), entry(address)]) == [entry(address)]


def entry(address: str) -> Address:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443)


def test_a_slash_at_the_end_makes_no_difference() -> None:
    assert callbacks.fire_url("https://x.example") == "https://x.example/api/cron/fire"
    assert callbacks.fire_url("https://x.example/a/") == "https://x.example/a/api/cron/fire"


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "2130706433",
        "0",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "a.b.7",
        "127.1.",
        "a..b",
        ".a",
        "-a.example",
        "a-.example",
        "%31.example",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "224.0.0.1",
        "255.255.255.255",
        "[ff02::1]",
    ],
)
@pytest.mark.parametrize("allow_private", [True, False])
def test_hosts_that_can_never_work_are_refused(host: str, allow_private: bool) -> None:
    with pytest.raises(InvalidRequestError, match=r"^agent_callback_url: ") as refusal:
        callbacks.check(f"http://{host}:8080/x", allow_private=allow_private)
    assert refusal.value.field == "agent_callback_url"


@given(
    st.lists(st.integers(0, 300) | st.sampled_from(["0x1", "0x", "010"]), min_size=1, max_size=5)
)
def test_a_host_that_ends_in_a_number_is_an_address_or_refused(parts: list[object]) -> None:
    host = ".".join(map(str, parts))
    try:
        ip = ipaddress.IPv4Address(host)
    except ValueError:
        with pytest.raises(InvalidRequestError):
            callbacks.check(f"http://{host}", allow_private=True)
    else:
        if not ip.is_multicast and ip != ipaddress.IPv4Address("255.255.255.255"):
            assert callbacks.check(f"http://{host}", allow_private=True)


@pytest.mark.parametrize(
    "host",
    ["agent", "a.example.", "1a.example", "3com.example", "a_b.example", "xn--bcher-kva.example"],
)
def test_names_that_may_work_are_taken(host: str) -> None:
    assert callbacks.check(f"https://{host}/x", allow_private=False)
