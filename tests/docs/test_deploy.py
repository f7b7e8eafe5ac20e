"""What stands ready to be deployed, as far as it can be checked without running it.

No image is built and no container is run here.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas_server.cli import options
from nas_server.cli.command_line import _parser
from tests.docs.test_operator_snippets import SELF_HOSTING, blocks
from tests.support.nats_cluster import program

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")
INSTRUCTIONS = {
    *("FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "ENV"),
    *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
}
SERVICE_KEYS = {
    *("image", "build", "command", "restart", "networks", "configs", "depends_on"),
    *("environment", "hostname", "volumes", "ports"),
}


def test_the_compose_file_holds_together() -> None:
    services = COMPOSE["services"]
    assert {name for name, each in services.items() if "nats" in each.get("image", "")} == {
        *("n1", "n2", "n3")
    }
    for service in services.values():
        assert set(service) <= SERVICE_KEYS
        assert set(service["networks"]) <= {*COMPOSE["networks"], "default"}
        assert {volume.split(":")[0] for volume in service.get("volumes", ())} <= set(
            COMPOSE["volumes"]
        )
        assert {each["source"] for each in service.get("configs", ())} <= set(COMPOSE["configs"])
        assert set(service.get("depends_on", ())) <= set(services)
    for name in ("n1", "n2", "n3"):
        assert services[name]["environment"]["NATS_NAME"] == services[name]["hostname"] == name
    names = services["nas-1"]["environment"]
    assert {name.removeprefix(options.PREFIX).lower() for name in names} <= set(
        options.gather(None, {})
    )
    dockerfile = services["nas-1"]["build"]["dockerfile"]
    assert (DEPLOY / services["nas-1"]["build"]["context"] / dockerfile).is_file()


@pytest.mark.parametrize("name", ["n1", "n2", "n3"])
def test_a_nats_server_takes_its_configuration(name: str, tmp_path: Path) -> None:
    secrets = {"NATS_PASSWORD": "p" * 20, "NATS_ROUTE_PASSWORD": "r" * 20, "NATS_NAME": name}
    text = COMPOSE["configs"]["nats"]["content"].replace("$$", "\0")
    text = re.sub(r"\$\{(\w+)\}", lambda found: secrets[found[1]], text).replace("\0", "$")
    file = tmp_path / "nats.conf"
    file.write_text(text.replace("/data", str(tmp_path)))
    nats = program()
    done = subprocess.run([nats, "-t", "-c", file], env=secrets, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_containerfile_starts_what_there_is() -> None:
    lines = [line for line in CONTAINERFILE.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} <= INSTRUCTIONS
    assert 'ENTRYPOINT ["nas-server"]' in lines
    (command,) = re.findall(r'^CMD \["(\w+)"\]$', CONTAINERFILE, re.MULTILINE)
    _parser(options.gather(None, {})).parse_args([command])
    user = next(n for n, line in enumerate(lines) if line.startswith("USER"))
    assert user < next(n for n, line in enumerate(lines) if line.startswith("ENTRYPOINT"))


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With the programs where the units have them; systemd-analyze looks whether they are there."""
    analyze = shutil.which("systemd-analyze")
    names = re.findall(r"`/etc/systemd/system/(\S+)`", SELF_HOSTING)
    for name, text in zip(names, blocks(SELF_HOSTING, "ini"), strict=True):
        (tmp_path / name).write_text(
            re.sub(r"(?<=^Exec)(\w+)=\S+", r"\1=/bin/true", text, flags=re.M)
        )
    if analyze is None:  # the pure checks of test_operator_snippets are all there is then
        return
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    units = [str(tmp_path / name) for name in names]
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units], env=environment, capture_output=True, text=True
    )
    complaints = [line for line in done.stderr.splitlines() if any(n in line for n in names)]
    assert (done.returncode, complaints) == (0, []), done.stderr
