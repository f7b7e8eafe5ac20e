"""`chronos install`, `uninstall` and the hook, in a Python with a hermes of a few lines."""

import sys
from pathlib import Path

import pytest

from chronos_plugin.cli import main
from chronos_plugin.cli.install import HOOK, PTH
from tests.support.stub_hermes import ROOT, WHICH, StubEnvironment


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> StubEnvironment:
    return StubEnvironment(tmp_path_factory.mktemp("hermes") / "env")


@pytest.fixture
def hermes(made: StubEnvironment) -> StubEnvironment:
    made.add_ours()
    for name in made.files():
        (made.site / name).unlink()
    return made


def chronos(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_install_makes_hermes_load_ours(
    hermes: StubEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hermes.which() == ["bundled", "bundled"]
    assert chronos("install", "--hermes", hermes.hermes) == 0
    said = capsys.readouterr().out
    assert f"hermes-agent 0.19.0, run by {hermes.python}" in said
    assert f"wrote {hermes.site / HOOK}" in said
    assert f"wrote {hermes.site / PTH}" in said
    assert "loads as verifier: " in said
    assert hermes.which() == ["ours", "ours"]


SHIMS = (
    '#!/usr/bin/env bash\nunset PYTHONPATH\nexec "{}" "$@"\n',
    "#!/bin/sh\nexec {} $@\n",
)


@pytest.mark.parametrize("shim", SHIMS)
def test_a_shell_script_that_leads_to_hermes_is_followed(
    shim: str, hermes: StubEnvironment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = script(tmp_path / "hermes", shim.format(hermes.hermes))
    assert chronos("install", "--dry-run", "--hermes", program) == 0
    assert f"run by {hermes.python}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('#!/bin/sh\nexec "$HERMES" "$@"\n', "does not say which Python runs it"),
        ('#!/bin/sh\nexec "{}" "$@"\n', "does not say which Python runs it"),
        ('#!/bin/sh\nexec "/no/such/hermes" "$@"\n', "/no/such/hermes cannot be read"),
    ],
)
def test_a_shell_script_that_leads_nowhere(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "hermes"
    script(program, text.format(program))
    assert chronos("install", "--hermes", program) == 1
    assert said in capsys.readouterr().err


def script(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_a_python_of_the_current_directory_is_not_looked_up_on_the_path(
    hermes: StubEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script(tmp_path / "python", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(hermes.python.parent)
    assert chronos("install", "--dry-run", "--hermes", "./python") == 0
    assert f"run by {hermes.python}" in capsys.readouterr().out


def test_the_hook_is_compiled_where_python_writes_no_bytecode(
    hermes: StubEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    chronos("install", "--hermes", hermes.hermes)
    assert any(name.endswith(".pyc") for name in hermes.files())


def test_installing_again_changes_nothing(
    hermes: StubEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    chronos("install", "--hermes", hermes.python)
    before = (hermes.site / HOOK).stat().st_mtime_ns
    capsys.readouterr()
    assert chronos("install", "--hermes", hermes.python) == 0
    assert capsys.readouterr().out.count("unchanged") == 2
    assert (hermes.site / HOOK).stat().st_mtime_ns == before


def test_a_dry_run_writes_and_removes_nothing(
    hermes: StubEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chronos("install", "--dry-run", "--hermes", hermes.hermes) == 0
    assert capsys.readouterr().out.count("would write") == 2
    assert hermes.files() == set()
    chronos("install", "--hermes", hermes.hermes)
    assert chronos("uninstall", "--dry-run", "--hermes", hermes.hermes) == 0
    assert {HOOK, PTH} <= hermes.files()


def test_uninstall_leaves_no_trace(
    hermes: StubEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    chronos("install", "--hermes", hermes.hermes)
    hermes.run("")
    assert chronos("uninstall", "--hermes", hermes.hermes) == 0
    assert hermes.files() == set()
    assert hermes.which() == ["bundled", "bundled"]
    capsys.readouterr()
    assert chronos("uninstall", "--hermes", hermes.hermes) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_the_hook_can_be_turned_off(hermes: StubEnvironment) -> None:
    chronos("install", "--hermes", hermes.hermes)
    assert hermes.which(CHRONOS_HOOK="0") == ["bundled", "bundled"]


def test_without_our_package_hermes_loads_its_own_and_says_why(hermes: StubEnvironment) -> None:
    chronos("install", "--hermes", hermes.hermes)
    hermes.ours.unlink()
    assert hermes.which() == ["bundled", "bundled"]
    assert "chronos_plugin cannot be loaded (No module named" in hermes.run(WHICH).stderr
    assert hermes.run("print(1)").stderr == ""


def test_a_broken_package_of_ours_leaves_hermes_its_own(hermes: StubEnvironment) -> None:
    chronos("install", "--hermes", hermes.hermes)
    hermes.write("broken/chronos_plugin/__init__.py", "def register(ctx): ...")
    hermes.write("broken/chronos_plugin/verify.py", "raise RuntimeError('broken')")
    hermes.ours.write_text(f"{hermes.site / 'broken'}\n")
    assert hermes.which() == ["bundled", "bundled"]


def test_a_lost_hook_module_is_no_error_at_a_python_start(hermes: StubEnvironment) -> None:
    chronos("install", "--hermes", hermes.hermes)
    (hermes.site / HOOK).unlink()
    done = hermes.run("print(1)")
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_look_for_the_package_does_not_use_the_hook_up(hermes: StubEnvironment) -> None:
    chronos("install", "--hermes", hermes.hermes)
    look = "import importlib.util; importlib.util.find_spec('plugins.cron_providers');"
    assert "chronos_plugin/__init__.py" in hermes.run(look + WHICH).stdout


def test_the_hook_loads_nothing_at_a_python_start(hermes: StubEnvironment) -> None:
    loaded = "import sys; print(sorted(sys.modules))"
    before = hermes.run(loaded).stdout
    chronos("install", "--hermes", hermes.hermes)
    after = hermes.run(loaded).stdout
    assert set(eval(after)) - set(eval(before)) == {"_chronos_hook"}


def test_every_start_other_than_hermes_s_is_left_alone(hermes: StubEnvironment) -> None:
    chronos("install", "--hermes", hermes.hermes)
    done = hermes.run("import plugins, json, sys; print('chronos_plugin' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


def problem(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert chronos(*arguments) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_problems_are_told_in_a_line(
    hermes: StubEnvironment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(path: object) -> str:
        return problem(capsys, "install", "--hermes", path)

    assert "there is no /nowhere" in told("/nowhere")
    shell = tmp_path / "hermes"
    shell.write_text("#!/bin/sh\necho hello\n")
    shell.chmod(0o755)
    assert "does not say which Python" in told(shell)
    assert "has no hermes" in told(sys.executable)
    hermes.ours.unlink()
    assert f"{hermes.python} -m pip install '{ROOT}[chronos]'" in told(hermes.hermes)


def test_a_hermes_without_a_loader_is_refused(
    hermes: StubEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    away = hermes.site / "plugins"
    away.rename(hermes.site / "away")
    try:
        said = problem(capsys, "install", "--hermes", hermes.hermes)
    finally:
        (hermes.site / "away").rename(away)
    assert "0.18.2 or later is needed" in said


def test_a_hook_that_does_not_take_is_told(
    hermes: StubEnvironment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHRONOS_HOOK", "0")
    assert "still loads its bundled" in problem(capsys, "install", "--hermes", hermes.hermes)


def test_the_python_of_a_script_with_a_long_path(hermes: StubEnvironment, tmp_path: Path) -> None:
    script = tmp_path / "hermes"
    lines = ["#!/bin/sh", f'\'\'\'exec\' "{hermes.python}" "$0" "$@"', "' '''", "import sys"]
    script.write_text("\n".join(lines))
    script.chmod(0o755)
    assert chronos("install", "--dry-run", "--hermes", script) == 0


@pytest.mark.parametrize("arguments", [[], ["install", "--nonsense"], ["fly"]])
def test_bad_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
