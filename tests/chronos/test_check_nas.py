"""doctor: this machine's clock against NAS's."""

import pytest

from chronos_plugin.cli.check_nas import NasClock


@pytest.mark.parametrize(
    ("skew", "state", "said"),
    [
        (None, "skipped", "NAS did not say what time it is"),
        (5.0, "ok", "agrees with NAS's"),
        (-5.0, "ok", "agrees with NAS's"),
        (6.0, "warning", "this machine's clock is 6 s ahead of NAS's"),
        (-6.0, "warning", "this machine's clock is 6 s behind NAS's"),
        (-30.0, "warning", "this machine's clock is 30 s behind NAS's"),
        (31.0, "problem", "this machine's clock is 31 s ahead of NAS's: its tokens are refused"),
        (-31.0, "problem", "this machine's clock is 31 s behind NAS's: its tokens are refused"),
    ],
)
def test_a_clock_that_is_off_is_told_whichever_way(
    skew: float | None, state: str, said: str
) -> None:
    clock = NasClock()
    clock.skew = skew
    found = clock.check()
    assert (found.state, found.reason) == (state, said)
