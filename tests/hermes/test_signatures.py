"""What is recorded of the releases that are here is what is installed of them."""

import pytest

from tests.support.hermes_env import VERSIONS, cached_environment
from tools.hosts.releases import candidates
from tools.hosts.signatures import MODULE, of_source, recorded


@pytest.mark.parametrize("version", VERSIONS)
def test_the_record_is_true(version: str) -> None:
    (module,) = cached_environment(version).glob(f"lib/python*/site-packages/{MODULE}")
    assert recorded()[candidates(version)[0]] == of_source(module.read_text())
