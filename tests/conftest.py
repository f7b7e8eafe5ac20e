"""What every test runs with."""

pytest_plugins = ["tests.support.contract_fixture", "tests.support.matrix"]
