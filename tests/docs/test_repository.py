"""The files that a public repository has for its visitors and for its machines hold together."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.check import STEPS

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
FORMS = sorted(each for each in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if each.stem != "config")
INPUTS = {"input", "textarea", "dropdown", "checkboxes"}


def read(file: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(file.read_text("utf-8"))
    return loaded


def test_the_workflow_runs_every_test_on_every_python_that_hermes_takes() -> None:
    workflow = read(GITHUB / "workflows" / "test.yml")
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert [*job["strategy"]["matrix"]["python"], "3.14"] == named
    steps = [each for each in job["steps"] if "run" in each]
    assert [step["run"] for step in steps] == ["scripts/test", "scripts/simulate"]
    assert all(step["env"] == {"PYTHON": "python${{ matrix.python }}"} for step in steps)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_asks_for_something(form: Path) -> None:
    told = read(form)
    assert {"name", "description", "body"} <= set(told)
    asked = [each for each in told["body"] if each["type"] in INPUTS]
    assert {each["type"] for each in told["body"]} <= INPUTS | {"markdown"}
    names = [each["id"] for each in asked]
    assert len(set(names)) == len(names) > 0
    assert all(each["attributes"]["label"] for each in asked)
    assert any(each.get("validations", {}).get("required") for each in asked)


def test_the_forms_are_there() -> None:
    assert [form.stem for form in FORMS] == ["bug", "wish"]


def test_updates_are_looked_for_where_there_is_something() -> None:
    for each in read(GITHUB / "dependabot.yml")["updates"]:
        place = ROOT / each["directory"].lstrip("/")
        assert place.is_dir()
        kinds = {"npm": "package.json", "docker": "Containerfile", "github-actions": ".github"}
        assert (place / kinds[each["package-ecosystem"]]).exists()


def test_a_commit_runs_steps_that_there_are() -> None:
    ((hook,),) = (repo["hooks"] for repo in read(ROOT / ".pre-commit-config.yaml")["repos"])
    script, *options = hook["entry"].split()
    assert script == "scripts/test"
    assert set(options[::2]) == {"--only"}
    assert set(options[1::2]) <= {step.name for step in STEPS}
