"""Which addresses count as public."""

import socket

import pytest

from nas_server.delivery import callbacks


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
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(callbacks.PrivateAddressError):
        callbacks.public_socket((family, socket.SOCK_STREAM, 6, "", (address, 443)))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2003::1", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8"]
)
def test_public(address: str) -> None:
    assert not callbacks.is_private(address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    callbacks.public_socket((family, socket.SOCK_STREAM, 6, "", (address, 443))).close()


def test_a_slash_at_the_end_makes_no_difference() -> None:
    assert callbacks.fire_url("https://x.example") == "https://x.example/api/cron/fire"
    assert callbacks.fire_url("https://x.example/a/") == "https://x.example/a/api/cron/fire"
