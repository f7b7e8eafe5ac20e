"""Incidents 31 to 34: hermes runs in another shape than the jobs need."""

from dataclasses import replace

from chronos_plugin.cli.install import HOOK, PTH
from tests.incidents.stage import Stage, hosts, promised
from tests.support.hermes_env import MAIN

GENERATION_3 = "0.20.6.post1"


@hosts(MAIN, GENERATION_3)
def test_incident_31_a_second_profile_and_a_gateway_alone(stage: Stage) -> None:
    """a job in a second profile, and a gateway alone"""
    theirs = replace(stage, agent=stage.agent.profile("work"))
    with stage.session() as hermes:
        stage.create(hermes, "ours")
        hermes.do("provider.reconcile()")
    with theirs.session() as hermes:
        job = theirs.create(hermes, "theirs", in_seconds=0)
        hermes.do("provider.reconcile()")
    with stage.serving("gateway"):
        assert stage.deliver() == [202]
        with promised("it runs once, in its own home"):
            stage.eventually(lambda: theirs.agent.hermes.runs("theirs") == 1, "the run")
        with promised("and is armed again"):
            theirs.await_armed(job)
        outputs = theirs.agent.hermes.home.outputs
        stage.eventually(lambda: outputs(job) == ["theirs ran"], "its output")


@hosts(GENERATION_3, "0.21.3.post1")
def test_incident_32_a_gateway_of_all_profiles(stage: Stage) -> None:
    """one gateway serves all profiles by its own ticker"""
    with stage.session() as hermes:
        stage.create(hermes, "hourly")
        hermes.do("provider.reconcile()")
    assert stage.agent.armed()
    config = {"multiplex_profiles": True}
    stage.agent.rewrite("config.yaml", "gateway", config)
    with stage.serving("gateway"):
        with promised("what is armed is withdrawn"):
            stage.eventually(lambda: stage.agent.armed() == {}, "the end of it", later=60.0)
        with promised("the log says it once, doctor and status name the setting"):
            log = (stage.agent.hermes.home.hermes / "logs" / "agent.log").read_text()
            assert log.count("nothing is armed, and the machine must not stop") == 1
            assert "gateway.multiplex_profiles" in stage.chronos("status").stderr
            assert "gateway.multiplex_profiles" in stage.chronos("doctor", "--no-fire").stdout
    stage.agent.rewrite("config.yaml", "gateway", {"multiplex_profiles": False})
    with stage.serving("gateway"), promised("the remedy helps"):
        stage.eventually(stage.agent.armed, "the arms", later=60.0)


@hosts("0.22.2.post1")
def test_incident_32_a_gateway_of_a_profile_s_own(stage: Stage) -> None:
    """a profile's own gateway fires by its own ticker"""
    theirs = replace(stage, agent=stage.agent.profile("work"))
    theirs.agent.rewrite("config.yaml", "gateway", {"standalone": True})
    with stage.session() as hermes:
        ours = stage.create(hermes, "ours")
        hermes.do("provider.reconcile()")
    with theirs.session() as hermes:
        job = theirs.create(hermes, "theirs")
        hermes.do("provider.reconcile()")
    assert {ours, job} <= set(stage.agent.armed())
    with theirs.serving("gateway"):
        with promised("what is armed for it is withdrawn, and nothing of the default profile"):
            stage.eventually(lambda: job not in stage.agent.armed(), "the end of it", later=60.0)
            stage.await_armed(ours)
        with promised("the log says it once, doctor and status name the setting"):
            log = (theirs.agent.hermes.home.hermes / "logs" / "agent.log").read_text()
            assert log.count("nothing is armed, and the machine must not stop") == 1
            assert "gateway.standalone" in theirs.chronos("status").stderr
            assert "gateway.standalone" in theirs.chronos("doctor", "--no-fire").stdout
    with stage.serving("gateway"), promised("the remedy helps"):
        assert theirs.chronos("reconcile").returncode == 0
        theirs.await_armed(job)
        theirs.agent.make_due(job, 0)
        assert theirs.chronos("reconcile").returncode == 0
        stage.eventually(
            lambda: stage.deliver() or theirs.agent.hermes.runs("theirs"), "a fire", later=60.0
        )
        theirs.await_armed(job)
        stage.await_armed(ours)
        assert theirs.agent.hermes.runs("theirs") == 1


@hosts(GENERATION_3)
def test_incident_33_no_gateway_behind_the_web_server(stage: Stage) -> None:
    """hermes serve is alone, and hands fires on"""
    with stage.session() as hermes:
        job = stage.create(hermes, "waiting", in_seconds=0)
        hermes.do("provider.reconcile()")
    with stage.serving("serve", alone=True):
        assert stage.deliver() == [503]
        with promised("doctor and status say which process is missing, and how it is started"):
            for command in (("status",), ("doctor", "--no-fire")):
                done = stage.chronos(*command)
                told = " ".join((done.stdout + done.stderr).split())
                assert "no gateway runs" in told
                assert "API_SERVER_KEY" in told
                assert "`hermes gateway run`" in told
    stage.nas.clock.ahead = 120.0  # NAS tries again by then
    with stage.serving("gateway"), promised("with that, it runs"):
        stage.eventually(
            lambda: stage.deliver() or stage.agent.hermes.runs("waiting"), "a fire", later=60.0
        )
        stage.await_armed(job)
        assert stage.agent.hermes.runs("waiting") == 1


def test_incident_34_hermes_rebuilt_its_environment(stage: Stage) -> None:
    """hermes rebuilt its environment: the hook is gone"""
    hermes = stage.agent.hermes
    site = hermes.environment.site_packages
    kept = {name: (site / name).read_text() for name in (HOOK, PTH)}
    try:
        for name in kept:
            (site / name).unlink()
        told = " ".join(stage.chronos("doctor", "--no-fire").stdout.split())
        with promised("doctor names it"):
            assert "a fresh hermes loads another" in told
            assert "`chronos install`" in told
        hermes.environment.install_hook()
        with promised("the remedy helps"):
            assert "a fresh hermes loads chronos" in stage.chronos("doctor", "--no-fire").stdout
    finally:
        for name, text in kept.items():
            (site / name).write_text(text)
