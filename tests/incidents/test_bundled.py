"""The incidents can fail: the provider that hermes bundles fails those that are quick to play."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.incidents import test_arming, test_identity, test_keys
from tests.incidents.stage import BrokenPromiseError, Incident, stage
from tests.support.hermes_env import MAIN, HermesEnvironment

QUICK = (
    test_arming.test_incident_02_nas_fails_the_rearm,
    test_arming.test_incident_04_nas_lost_its_state,
    test_arming.test_incident_05_an_item_of_the_list_is_malformed,
    test_arming.test_incident_06_another_spelling_of_the_same_instant,
    test_keys.test_incident_17_the_keys_cannot_be_fetched_any_more,
    test_keys.test_incident_18_a_firewall_for_libraries,
    test_identity.test_incident_21_another_provider_is_chosen,
    test_identity.test_incident_22_a_loader_of_other_plugins,
)
PATIENCE = 1.0
"""Seconds; what this provider does for a session, it does before it returns."""


@pytest.mark.parametrize("incident", QUICK, ids=lambda incident: incident.__name__)
def test_the_bundled_provider_breaks_the_promise(
    incident: Incident, with_hook: Callable[[str], HermesEnvironment], tmp_path: Path
) -> None:
    with (
        stage(with_hook(MAIN), tmp_path / "agent", ours=False, patience=PATIENCE) as made,
        pytest.raises(BrokenPromiseError),
    ):
        incident(made)
