"""`chronos doctor`: every check, well and ailing, on a real hermes with a real NAS."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from chronos_plugin.cli.install import HOOK
from nas_sdk import NasClient
from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.doctor import Answers, configure, doctor
from tests.support.hermes_env import MAIN, HermesEnvironment, run
from tests.support.nas_process import NasProcess

WRITTEN = ("portal_url", "callback_url", "expected_audience", "nas_jwks_url")
WELL = {"hermes", "fresh", "base", "provider", *WRITTEN, "login", "nas", "clock", "keys"}
SERVED = {"callback", "fire", "running"}
SERVE = """
import sys
from pathlib import Path
from chronos_plugin.serving_status import ServingStatus
records = ServingStatus(Path(sys.argv[1]))
records.serve("/an/older/chronos_plugin", "0.0.9", 5.0)
print("serving", flush=True)
sys.stdin.read()
"""


@contextmanager
def web_server(
    status: int = 200, body: bytes = b"{}", **headers: str
) -> Iterator[ThreadingHTTPServer]:
    """Answers everything in the same way."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("kind", ["serve", "gateway"])
def test_all_is_well(kind: str, new_agent: AgentMaker) -> None:
    agent = new_agent()
    agent.hermes.create_job("hourly", "every 1h")
    with agent.serving(kind) as server:
        answers = doctor(agent.hermes)
        assert f"process {server.process.pid} runs chronos" in answers.told("running", "ok")
    assert answers.states("ok") == WELL | SERVED | {"arms", "watchdog"}
    assert len(answers.found) == len(answers.states("ok"))
    assert answers.status == 0
    jobs = [job_id for job_id in agent.armed() if not job_id.startswith("watchdog-")]
    assert len(jobs) == 1  # the test fire has left nothing


def test_it_is_readable_in_80_columns(patient: Agent) -> None:
    python = str(patient.hermes.environment.python)
    done = run([python, "-P", "-m", "chronos_plugin.cli", "doctor"], patient.hermes.variables())
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 80 for line in lines if "/" not in line)
    assert lines[0].startswith(f"ok       hermes            hermes-agent {MAIN}, run by")
    assert lines[-1] == "14 ok, 1 problem, 1 skipped, 1 warning"


def test_no_hermes_at_all(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chronos_plugin.cli", "doctor", "--json"]
    environment = {"PATH": os.defpath, "PYTHONPATH": os.environ["PYTHONPATH"]}
    answers = Answers(run(command, environment))
    assert "there is no hermes on the PATH" in answers.told("hermes")
    assert answers.status == 1


def test_from_another_python_it_looks_at_the_hermes_on_the_path(patient: Agent) -> None:
    command = [sys.executable, "-P", "-m", "chronos_plugin.cli", "doctor", "--json"]
    answers = Answers(run(command, patient.hermes.variables()))
    assert str(patient.hermes.environment.python) in answers.told("hermes", "ok")
    assert answers.states("ok") > WELL


def test_another_hermes_on_the_path_and_no_hook(patient: Agent, tmp_path: Path) -> None:
    bare = HermesEnvironment.create(MAIN, tmp_path / "env")
    path = f"{patient.hermes.environment.prefix / 'bin'}:{os.defpath}"
    answers = doctor(replace(patient.hermes, environment=bare), PATH=path)
    assert str(patient.hermes.environment.python) in answers.told("hermes", "warning")
    assert "loads another provider" in answers.told("fresh")
    assert "chronos install" in answers.told("fresh")
    assert answers.status == 1


def test_a_hook_of_another_version(patient: Agent) -> None:
    hook = patient.hermes.environment.site_packages / HOOK
    ours = hook.read_text()
    hook.write_text(f"{ours}\n# older\n")
    try:
        answers = doctor(patient.hermes)
    finally:
        hook.write_text(ours)
    assert "another version" in answers.told("fresh")
    assert "chronos install" in answers.told("fresh")


def test_a_hermes_on_the_path_that_does_not_say_its_python(patient: Agent, tmp_path: Path) -> None:
    shim = tmp_path / "hermes"
    shim.write_text('#!/bin/sh\nexec "$HERMES" "$@"\n')
    shim.chmod(0o755)
    answers = doctor(patient.hermes, PATH=f"{tmp_path}:{os.defpath}")
    assert "does not say which Python runs it" in answers.told("hermes", "warning")
    assert answers.states("ok") > WELL


def test_a_gateway_that_was_started_without_the_hook(new_agent: AgentMaker) -> None:
    agent = new_agent()
    bundled = replace(agent.hermes, extra={"CHRONOS_HOOK": "0"})
    with replace(agent, hermes=bundled).serving("gateway") as server:
        answers = doctor(agent.hermes)
    assert f"process {server.process.pid or ''}" in answers.told("running")
    assert "runs without chronos" in answers.told("running")
    assert "gateway restart" in answers.told("running")


def test_a_process_that_runs_an_older_chronos(patient: Agent) -> None:
    folder = patient.hermes.home.hermes / "cron" / "chronos"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        answers = doctor(patient.hermes)
    assert f"process {process.pid} runs chronos 0.0.9 from /an/older" in answers.told("running")


def test_nothing_is_configured(patient: Agent) -> None:
    patient.rewrite("config.yaml", "cron.provider", "")
    patient.rewrite("auth.json", "providers", {})
    configure(patient, **dict.fromkeys(WRITTEN, ""))
    answers = doctor(patient.hermes)
    assert answers.states("problem") == {"provider", *WRITTEN, "login"}
    assert answers.states("skipped") >= {"nas", "clock", "keys", "callback", "fire", "arms"}
    for key in WRITTEN:
        assert f"set cron.chronos.{key} in " in answers.told(key)
    assert "hermes auth add nous" in answers.told("login")


def test_keys_that_are_odd(patient: Agent) -> None:
    kept = patient.access.url
    configure(
        patient,
        portal_url=f"{kept}/",
        callback_url="http://agent.invalid",
        expected_audience="my-agent",
        nas_jwks_url="http://nas.invalid/keys",
    )
    patient.rewrite("auth.json", "providers.nous.expires_at", None)
    answers = doctor(patient.hermes)
    assert "ends in a slash" in answers.told("portal_url", "warning")
    assert "plain http" in answers.told("callback_url", "warning")
    assert "agent:{instance_id}" in answers.told("expected_audience", "warning")
    assert "plain http" in answers.told("nas_jwks_url")
    assert "does not say until when" in answers.told("login", "warning")
    assert "plain http" in answers.told("keys")
    assert "does not answer" in answers.told("callback")


def test_urls_that_are_none(patient: Agent) -> None:
    configure(patient, portal_url="nas.example.com", callback_url="agent-7.example.com")
    answers = doctor(patient.hermes)
    for key in ("portal_url", "callback_url"):
        assert "is no absolute URL" in answers.told(key)


@pytest.mark.parametrize(
    ("portal_url", "said"),
    [
        ("nas.example.com", "is no absolute URL"),
        ("http://nas.example.com", "plain http"),
        ("https://[foo", "is no absolute URL"),
    ],
)
def test_nothing_but_the_portal_url_is_wrong(portal_url: str, said: str, patient: Agent) -> None:
    configure(patient, portal_url=portal_url)
    answers = doctor(patient.hermes)
    assert answers.status == 1
    assert said in answers.told("portal_url")
    assert "cron.chronos.portal_url" in answers.told("nas")
    assert answers.states("skipped") >= {"clock", "fire", "arms"}


def test_our_settings_are_no_mapping(patient: Agent) -> None:
    patient.rewrite("config.yaml", "cron.chronos", "nonsense")
    answers = doctor(patient.hermes)
    assert answers.states("problem") >= set(WRITTEN)


def test_nas_is_down_and_the_login_has_expired(patient: Agent) -> None:
    with web_server() as gone:
        closed = url(gone)
    configure(patient, portal_url=closed, nas_jwks_url=f"{closed}/keys")
    patient.rewrite("auth.json", "providers.nous.expires_at", "2026-01-01T00:00:00+00:00")
    answers = doctor(patient.hermes, HERMES_PORTAL_BASE_URL=closed)
    assert "expired" in answers.told("login", "warning")
    assert "login" in answers.told("nas") or "hermes auth add nous" in answers.told("nas")
    assert "cannot be had" in answers.told("keys")
    assert answers.states("skipped") == {"clock", "fire", "arms"}


def test_a_missing_login_is_told_of_with_the_nas_that_is_configured(patient: Agent) -> None:
    patient.rewrite("auth.json", "providers", {})
    told = doctor(patient.hermes).told("login")
    assert f"hermes auth add nous --type oauth --portal-url {patient.access.url}" in told
    assert "chronos login --token-file" in told
    configure(patient, portal_url="https://portal.nousresearch.com")
    assert "--portal-url" not in doctor(patient.hermes).told("login")


def test_a_login_that_hermes_would_renew_elsewhere(patient: Agent) -> None:
    """It knows its own portal and this machine; others have to be named to it."""
    portal = "https://nas.invalid"
    configure(patient, portal_url=portal)
    patient.rewrite("auth.json", "providers.nous.refresh_token", "one-that-is-used-nowhere")
    fix = f"HERMES_PORTAL_BASE_URL={portal}"
    assert fix in doctor(patient.hermes).told("login")
    named = patient.hermes.home.hermes / ".env"
    named.write_text(f"{fix}\n")
    try:
        assert doctor(patient.hermes).told("login", "ok")
    finally:
        named.unlink()


def test_nas_does_not_answer(patient: Agent) -> None:
    with web_server() as gone:
        configure(patient, portal_url=url(gone))
    assert "portal_url" in doctor(patient.hermes).told("nas")


@pytest.mark.parametrize(
    ("change", "said"),
    [("rotate", "hermes auth add nous"), ("revoke", "restore the hosted credential")],
)
def test_nas_does_not_accept_us(
    change: str, said: str, new_agent: AgentMaker, nas: NasProcess
) -> None:
    agent = new_agent()
    name = agent.hermes.home.root.parent.name + agent.hermes.home.root.name
    command = [sys.executable, "-m", "nas_server", "agent", change, name]
    assert run([*command, "--store", nas.store], os.environ).returncode == 0
    answers = doctor(agent.hermes)
    assert said in answers.told("nas")
    assert answers.states("skipped") == {"fire", "arms"}


def test_a_page_instead_of_nas_whose_clock_is_another(patient: Agent) -> None:
    page, date = b"<html>hello</html>", "Thu, 18 Jun 2020 12:34:56 GMT"
    with web_server(200, page, Date=date) as portal:
        configure(patient, portal_url=url(portal), nas_jwks_url=url(portal))
        answers = doctor(patient.hermes)
    assert "JSON" in answers.told("nas")
    assert "is no key set" in answers.told("keys")
    assert "ahead of NAS's" in answers.told("clock")
    assert "NTP" in answers.told("clock")


@pytest.mark.parametrize(
    ("status", "said"), [(404, "host, port and path"), (200, "takes a made-up token")]
)
def test_the_callback_leads_elsewhere(status: int, said: str, patient: Agent) -> None:
    with web_server(status) as other:
        configure(patient, callback_url=url(other))
        answers = doctor(patient.hermes)
    assert said in answers.told("callback")
    assert answers.states("skipped") == {"fire"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("expected_audience", "set cron.chronos.expected_audience"),
        ("portal_url", "set cron.chronos.portal_url"),
    ],
)
def test_a_real_token_is_refused(key: str, said: str, patient: Agent, nas: NasProcess) -> None:
    # NAS under another address than the one it signs with.
    other = {"expected_audience": "agent:another", "portal_url": nas.front.target}
    configure(patient, **{key: other[key]})
    with patient.serving("serve"):
        answers = doctor(patient.hermes)
    assert said in answers.told("fire")
    assert not [id_ for id_ in patient.armed() if "doctor" in id_]


def test_the_fire_of_a_profile_is_refused_by_the_home_that_serves(new_agent: AgentMaker) -> None:
    agent = new_agent()
    profile = agent.profile("work")
    configure(agent, expected_audience="agent:another")
    with agent.serving("serve"):
        answers = doctor(profile.hermes)
    assert "set cron.chronos.expected_audience" in answers.told("fire")


def test_arms_that_do_not_fit(new_agent: AgentMaker) -> None:
    agent = new_agent()
    names = ("missing", "moved", "overdue", "kept")
    jobs = {name: agent.hermes.create_job(name, "every 2h") for name in names}
    theirs = agent.profile("work").hermes.create_job("theirs", "every 1h")
    agent.make_due(jobs["moved"], 600)
    agent.make_due(jobs["overdue"], -600)
    with NasClient(agent.access.url, agent.access.token) as nas:
        nas.cancel(jobs["missing"])
        nas.provision(jobs["overdue"], "2026-01-01T00:00:00Z", "http://127.0.0.1:9")
        nas.provision("0123456789ab", "2099-01-01T00:00:00Z", agent.callback.url)
        for watchdog in [id_ for id_ in agent.armed() if id_.startswith("watchdog-")]:
            nas.cancel(watchdog)
        answers = doctor(agent.hermes)
        armed = agent.armed()
    told = answers.told("arms")
    assert f"not armed: missing ({jobs['missing']}), due in" in told
    assert f"armed for another time: moved ({jobs['moved']})" in told
    assert f"due and not run: overdue ({jobs['overdue']})" in told
    assert "armed though no job wants it: (no job) (0123456789ab)" in told
    assert "1 more of other profiles" in answers.told("arms", "ok")
    assert "is not armed" in answers.told("watchdog")
    assert {theirs, "0123456789ab"} <= armed.keys()  # it has looked only


def test_switched_away_and_no_watchdog(new_agent: AgentMaker) -> None:
    agent = new_agent(watchdog=False)
    configure(agent, watchdog=False)
    agent.hermes.create_job("hourly", "every 1h")
    assert "died before" in doctor(agent.hermes).told("watchdog", "warning")
    agent.rewrite("config.yaml", "cron.provider", "")
    answers = doctor(agent.hermes)
    assert "chronos disarm" in answers.told("arms", "warning")


def test_a_store_that_cannot_be_read(new_agent: AgentMaker) -> None:
    agent = new_agent()
    agent.hermes.create_job("hourly", "every 1h")
    (agent.hermes.home.hermes / "cron" / "jobs.json").write_text("{")
    assert "is not JSON" in doctor(agent.hermes).told("store")
