"""Incidents 7, 8, 13 and 19 to 22: who the agent is, and what hermes is told."""

import re

from tests.incidents.stage import Stage, hosts, promised
from tests.support.hermes_host import created

HINT = "restore the hosted credential in the portal"


def test_incident_07_the_token_expired_early(stage: Stage) -> None:
    """401: the token expired early"""
    stage.nas.expire(stage.agent.access)
    job = stage.agent.hermes.create_job("hourly", "every 1h")
    with promised("the login is renewed, and the job armed before the command returns"):
        assert stage.is_armed(job)


def test_incident_07_a_new_token_is_refused_too(stage: Stage) -> None:
    """401: a new token does not help"""
    stage.nas.expire(stage.agent.access)
    stage.nas.double.tokens.clear()
    hermes = stage.agent.hermes
    done = hermes.cli(*hermes.creation("hourly", "every 1h"))
    with promised("it is tried once and reported"):
        requests = stage.nas.double.requests
        assert len({request.headers["authorization"] for request in requests}) == 2
        assert len(requests) == 2
        assert f"{created(done)} is not armed yet" in done.stderr or "your change" in done.stderr


def test_incident_08_nas_does_not_know_the_agent(stage: Stage) -> None:
    """403 invalid_client: NAS does not know this agent

    That the ticker gets the gateway's own adapters is held by the provider's own tests.
    """
    with stage.session() as hermes:
        stage.create(hermes, "ticked", in_seconds=0)
    stage.nas.double.tokens[stage.agent.access.token] = None
    with stage.serving("gateway") as server:
        with promised("the built-in ticker runs the jobs"):
            stage.eventually(lambda: stage.agent.hermes.runs("ticked") == 1, "a run")
        with promised("no further calls are made, and one warning names the remedy"):
            assert len(stage.nas.calls(stage.agent.access)) == 1
            log = (stage.agent.hermes.home.root / "gateway.log").read_text()
            assert log.count(HINT) == 1
        assert server.answers()


def test_incident_08_nas_knows_the_agent_again(stage: Stage) -> None:
    """403 invalid_client: the credential is restored

    That the ticker ends then is held by the provider's own tests.
    """
    job = stage.agent.hermes.create_job("hourly", "every 1h")
    known, token = stage.nas.double.tokens, stage.agent.access.token
    agent, known[token] = known[token], None
    with stage.serving("gateway") as server:
        log = stage.agent.hermes.home.root / "gateway.log"
        stage.eventually(lambda: "built-in ticker fires the jobs" in log.read_text(), "the ticker")
        known[token] = agent
        stage.nas.double.forget()
        with promised("a fire of NAS has everything armed again"):
            assert stage.fire(server, job) < 300
            stage.await_armed(job)


def test_incident_13_two_profiles_of_one_identity(stage: Stage) -> None:
    """two profiles share one identity at NAS"""
    profile = stage.agent.profile("work")
    theirs = profile.hermes.create_job("theirs", "every 1h")
    assert theirs in stage.agent.armed()
    mine = stage.agent.hermes.create_job("mine", "every 1h")
    with promised("neither cancels what the other wants"):
        assert {mine, theirs} <= stage.agent.armed().keys()


def test_incident_19_urls_that_end_in_a_slash(stage: Stage) -> None:
    """portal_url and callback_url end in a slash"""
    for key in ("portal_url", "callback_url"):
        url = getattr(stage.agent, "access" if key == "portal_url" else "callback").url
        stage.agent.rewrite("config.yaml", f"cron.chronos.{key}", f"{url}/")
    with stage.session() as hermes:
        job = stage.create(hermes, "slashed", in_seconds=0)
        hermes.do("provider.reconcile()")
    assert job in stage.agent.armed()
    with stage.serving("serve"):
        with promised("fires are accepted as without it"):
            assert stage.deliver() == [202]
        with promised("and the job runs and is armed again"):
            stage.eventually(lambda: stage.agent.hermes.runs("slashed") == 1, "the run")
            stage.await_armed(job)


def test_incident_20_creation_of_a_job_that_is_not_armed(stage: Stage) -> None:
    """creation says success though nothing was armed

    This hermes cannot be told by a provider that a creation failed: a line on stderr is what
    there is.
    """
    stage.nas.double.fail_next(400, operation="provision", times=100)
    hermes = stage.agent.hermes
    done = hermes.cli(*hermes.creation("unarmed", "every 1h"))
    with promised("a warning on stderr names the job"):
        assert f"{created(done)} is not armed yet" in done.stderr


@hosts("0.22.2.post1")
def test_incident_20_where_creation_can_fail(stage: Stage) -> None:
    """creation says success though nothing was armed

    This hermes shows the kind of the error alone; its text is in the log.
    """
    stage.nas.double.fail_next(400, operation="provision", times=100)
    hermes = stage.agent.hermes
    done = hermes.try_cli(*hermes.creation("unarmed", "every 1h"))
    log = (hermes.home.hermes / "logs" / "errors.log").read_text()
    with promised("the command fails and says that the job is saved"):
        assert done.returncode != 0
        assert "was saved" in done.stdout
    with promised("the log says why it is not armed, and what to do"):
        assert re.search(r"saved but not armed: provision: .*; .*chronos reconcile", log), log


def test_incident_21_another_provider_is_chosen(stage: Stage) -> None:
    """the provider is switched back to the built-in"""
    with stage.session() as hermes:
        stage.create(hermes, "left-behind")
        hermes.do("provider.reconcile()")
    assert stage.agent.armed()
    stage.agent.rewrite("config.yaml", "cron.provider", "")
    stage.agent.hermes.cli("cron", "list")
    home = str(stage.agent.hermes.home.hermes)
    if stage.ours:
        done = stage.agent.hermes.environment.chronos("disarm", "--home", home)
        assert done.returncode == 0, done.stderr
    with promised("there is a command that cancels what this installation armed"):
        assert stage.agent.armed() == {}


def test_incident_22_a_loader_of_other_plugins(stage: Stage) -> None:
    """the generic plugin manager calls register(ctx)"""
    plugin = stage.agent.hermes.home.hermes / "plugins" / "also-chronos"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").write_text("name: also-chronos\nversion: 1.0.0\ndescription: x\n")
    (plugin / "__init__.py").write_text(
        "from plugins.cron_providers.chronos import register as register\n"
    )
    stage.agent.rewrite("config.yaml", "plugins", {"enabled": ["also-chronos"]})
    with stage.session() as hermes:
        known = hermes.do(
            "from hermes_cli.plugins import PluginManager\n"
            "manager = PluginManager()\n"
            "manager.discover_and_load()\n"
            "result = {name: one.error for name, one in manager._plugins.items()}"
        )
        assert "also-chronos" in known
        with promised("nothing is registered, and no warning is given"):
            assert known["also-chronos"] is None
            assert "WARNING" not in hermes.log()
