"""How often somebody may do something."""

import pytest

from nas_server.http.throttle import Throttle, host_of


def test_so_many_at_once_then_one_at_a_time() -> None:
    throttle = Throttle(3, 10_000, known=9)
    assert [throttle.wait_s("a", 0) for _ in range(5)] == [0, 0, 0, 10, 10]
    assert throttle.wait_s("b", 0) == 0
    assert throttle.wait_s("a", 9_999) == 1
    assert [throttle.wait_s("a", 10_000) for _ in range(2)] == [0, 10]
    assert [throttle.wait_s("a", 990_000) for _ in range(4)] == [0, 0, 0, 10]


def test_fractions_of_a_millisecond_add_up() -> None:
    throttle = Throttle(1, 0.5, known=9)
    assert [throttle.wait_s("a", 0) for _ in range(2)] == [0, 1]
    assert [throttle.wait_s("a", 1) for _ in range(2)] == [0, 1]


def test_whoever_is_forgotten_starts_anew() -> None:
    throttle = Throttle(1, 10_000, known=2)
    assert [throttle.wait_s("a", 0) for _ in range(2)] == [0, 10]
    assert [throttle.wait_s(each, 0) for each in "bca"] == [0, 0, 0]


def test_a_clock_set_back_keeps_nobody_waiting_for_it() -> None:
    throttle = Throttle(2, 1_000, known=9)
    assert [throttle.wait_s("a", 3_600_000) for _ in range(2)] == [0, 0]
    assert throttle.wait_s("a", 0) == 1
    assert throttle.wait_s("a", 1_000) == 0


def test_what_costs_more_uses_up_times_that_are_to_come_but_not_without_end() -> None:
    throttle = Throttle(3, 1_000, known=9, beyond=4)
    assert throttle.wait_s("a", 0) == 0
    throttle.use_up("a", 5, 0)
    assert throttle.wait_s("a", 0) == 4
    assert [throttle.wait_s("a", 4_000) for _ in range(2)] == [0, 1]
    throttle.use_up("a", 1_000, 4_000)
    assert throttle.wait_s("a", 4_000) == 5
    assert throttle.wait_s("a", 9_000) == 0
    throttle.use_up("b", 5, 0)  # forgotten meanwhile
    assert throttle.wait_s("b", 0) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        (None, "", True),
        ("unix", "", False),
    ],
)
def test_a_host_has_one_address_of_ipv4_and_a_network_of_ipv6(
    one: str | None, other: str, same: bool
) -> None:
    assert (host_of(one) == host_of(other)) is same
