"""One definition of public: no underscore, in `__all__`, guarded, in the reference."""

import shutil
from pathlib import Path

import pytest

from tools.bootstrap import ROOT
from tools.contract.public import problems

PLANTS = {
    "a function nobody listed": (
        "nas_sdk/errors.py",
        "\n\ndef planted() -> None: ...\n",
        ["nas_sdk.errors.planted: has no underscore and is not in __all__"],
    ),
    "a constant nobody listed": (
        "nas_sdk/client.py",
        "\nPLANTED = 3\n",
        ["nas_sdk.client.PLANTED: has no underscore and is not in __all__"],
    ),
    "a listed name that is not documented": (
        "nas_sdk/reconcile/__init__.py",
        '\nfrom .planning import OVERDUE_STEP_MS\n__all__ += ["OVERDUE_STEP_MS"]\n',
        ["nas_sdk.reconcile.OVERDUE_STEP_MS: is in __all__ and not in docs/reference"],
    ),
    "a documented name that is not guarded": (
        "docs/reference/agents.md",
        "\n::: nas_sdk.reconcile.agent.EARLY_SECONDS\n",
        ["nas_sdk.reconcile.agent.EARLY_SECONDS: is in docs/reference and in no __all__"],
    ),
    "a listed name that is not there": (
        "nas_sdk/protocol/__init__.py",
        '\n__all__ += ["Planted"]\n',
        [
            "nas_sdk.protocol.Planted: is in __all__ and not in docs/reference",
            "nas_sdk.protocol.Planted: is in __all__ and not in the guarded surface",
        ],
    ),
    "a listed name with an underscore": (
        "nas_sdk/testing/pytest_plugin.py",
        '\n\ndef _planted() -> None: ...\n\n\n__all__ += ["_planted"]\n',
        [
            "nas_sdk.testing.pytest_plugin._planted: is in __all__ and begins with an underscore",
            "nas_sdk.testing.pytest_plugin._planted: is in __all__ and not in docs/reference",
        ],
    ),
    "a documented name with an underscore": (
        "docs/reference/errors.md",
        "\n::: nas_sdk._core.retry.next_wait\n",
        ["nas_sdk._core.retry.next_wait: is in docs/reference and in no __all__"],
    ),
    "a module without a list": (
        "nas_sdk/planted.py",
        '"""Planted."""\n',
        ["nas_sdk.planted: has no __all__"],
    ),
}


def test_what_is_public_is_guarded_and_documented() -> None:
    assert problems() == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("nas_sdk", "docs/reference"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    return tmp_path


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_name_is_found(checkout: Path, plant: str) -> None:
    name, text, expected = PLANTS[plant]
    with (checkout / name).open("a") as file:
        file.write(text)
    assert problems(checkout) == expected
