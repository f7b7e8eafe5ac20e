"""What a change of the contract asks of the code by hand is named here, and nowhere else."""

import pytest

from tests.support.followed import unfollowed


@pytest.mark.off_contract("request")
@pytest.mark.off_contract("response")
def test_the_code_follows_the_contract() -> None:
    assert unfollowed() == []
