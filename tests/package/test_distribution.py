"""The wheel and the sdist: what they hold, and that the wheel works on its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PLAIN = """
import sys
import nas_sdk, nas_sdk.client, nas_sdk.aclient, nas_sdk.testing, nas_sdk.reconcile
import chronos_plugin
nas = nas_sdk.testing.InMemoryNas()
with nas.client() as client:
    client.provision("job-1", "2026-06-18T12:34:56Z", "https://agent.test")
    assert [one.job_id for one in client.list_armed()] == ["job-1"]
try:
    nas_sdk.FireVerifier("https://nas.test/jwks", audience="a", issuer=None)
except ImportError as error:
    assert "its extra 'webhooks'" in str(error), error
else:
    raise SystemExit("the extra `webhooks` is not an extra")
assert not any(name.split(".")[0] in ("hermes_cli", "cron", "plugins") for name in sys.modules)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def closure(*names: str) -> Iterator[metadata.Distribution]:
    """The distributions and all they need, no extras."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop().lower()
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        yield distribution
        needs = map(Requirement, distribution.requires or ())
        todo += [
            need.name
            for need in needs
            if need.marker is None or need.marker.evaluate({"extra": ""})
        ]


def install(distribution: metadata.Distribution, folder: Path) -> None:
    """Link a distribution's top-level files into a folder, as an installer would put them."""
    for file in distribution.files or ():
        top = file.parts[0]
        source = Path(str(distribution.locate_file(top)))
        if top not in ("..", "__pycache__") and not (folder / top).exists():
            (folder / top).symlink_to(source)


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    packages = {"nas_sdk", "nas_server", "nas_conformance", "chronos_plugin"}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert {f"{package}/py.typed" for package in packages} <= {*names}
    assert {"chronos_plugin/plugin.yaml", "chronos_plugin/hook/_chronos_hook.py"} <= {*names}
    page = {f"nas_server/page/static/{name}" for name in ("index.html", "page.css", "page.js")}
    assert page <= {*names}
    assert not [name for name in names if "/test_" in name or name.endswith(".pth")]


def test_the_sdist_holds_the_contract_and_no_tests(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"openapi/nas-agent-cron.yaml", "README.md", "LICENSE", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_base_install_needs_httpx_and_attrs(wheel: Path) -> None:
    text = zipfile.ZipFile(wheel).read(f"nas_sdk-{version()}.dist-info/METADATA").decode()
    lines = [line for line in text.splitlines() if line.startswith("Requires-Dist:")]
    needs = [Requirement(line.partition(":")[2]) for line in lines]
    assert {need.name for need in needs if need.marker is None} == {"attrs", "httpx"}


@pytest.fixture(scope="module")
def base_install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of modules as after an installation without any extra."""
    site = tmp_path_factory.mktemp("site")
    for distribution in closure("httpx", "attrs"):
        install(distribution, site)
    zipfile.ZipFile(wheel).extractall(site)
    return site


def test_the_wheel_works_with_httpx_and_attrs_alone(base_install: Path) -> None:
    done = run_python(base_install, PLAIN)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "extra", "arguments"),
    [
        ("nas-server", "server", ["serve"]),
        ("nas-server", "server", ["--help"]),
        ("nas-conformance", "conformance", ["--list"]),
        ("nas-conformance", "conformance", ["--url", "http://127.0.0.1:9", "--token", "t"]),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    base_install: Path, command: str, extra: str, arguments: list[str]
) -> None:
    done = run_command(base_install, command, arguments)
    said = f"{command} needs: pip install 'nas-sdk[{extra}]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_chronos_without_its_extra_says_what_to_install(base_install: Path, tmp_path: Path) -> None:
    """A hermes whose Python has lost PyJWT, which `chronos doctor` needs to look at keys."""
    begin = "import chronos_plugin.cli.hermes_env as env\nenv.require = lambda: None\n"
    begin += "import chronos_plugin.cli.status as status\n"
    begin += "def lost(args):\n    import jwt\nstatus.status = lost\n"
    done = run_command(base_install, "chronos", ["status"], begin)
    said = "chronos needs: pip install 'nas-sdk[chronos]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_token_cannot_be_minted_without_the_extra(base_install: Path) -> None:
    code = "from nas_sdk.testing import InMemoryNas; InMemoryNas().mint_fire_token()"
    done = run_python(base_install, code)
    assert done.stderr.endswith(
        "ImportError: signing fire tokens needs PyJWT and cryptography: "
        "install nas-sdk with its extra 'webhooks'\n"
    )


def run_command(
    site: Path, command: str, arguments: list[str], begin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a console script of the wheel as an installer would have written it."""
    (entries,) = site.glob("nas_sdk-*.dist-info/entry_points.txt")
    (entry,) = [line for line in entries.read_text().splitlines() if line.startswith(f"{command} ")]
    module, _, function = entry.partition("=")[2].strip().partition(":")
    code = f"{begin}import sys\nfrom {module} import {function}\n"
    return run_python(site, f"{code}sys.exit({function}({arguments!r}))")


def run_python(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-S", "-c", code]
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True)


def version() -> str:
    from nas_sdk import __version__

    return __version__
