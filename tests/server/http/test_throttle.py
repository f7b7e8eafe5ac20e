"""How often somebody may do something."""

from nas_server.http.throttle import Throttle


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
