"""Make the environments the scripts run in, once.

Runs under whatever Python 3.11+ the machine has, so it imports the standard library only.
An environment is stamped with a digest of everything it was made from; one whose stamp
still fits costs a few milliseconds. Progress goes to stderr, the path made to stdout.

    python tools/bootstrap.py dev                # .venv
    python tools/bootstrap.py hermes 0.19.0      # .cache/hermes/0.19.0
    python tools/bootstrap.py redocly            # .cache/redocly, with the node of .venv
    python tools/bootstrap.py docs               # .cache/docs
    python tools/bootstrap.py browser            # Chromium, of the system
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
REDOCLY = CACHE / "redocly"
PYTHON = os.path.realpath(sys.executable)
"""The machine's own Python, also when this one is a virtual environment's."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
"""The names that Chromium goes by."""
DONE = ".stamp"
LOCKED = ".stamp-lock"
"""Files in an environment: what it was made from, in all and as far as its lock goes."""
UNLOCKED = {"nas-sdk", "pip", "setuptools"}
"""What an environment holds beside its lock: this project, and what venv put there."""
TICK = 0.2
"""Seconds between two repaints of a progress line."""


class SetupError(Exception):
    """A step of the set-up failed; the text is for the person at the terminal."""


def main(arguments: Sequence[str]) -> int:
    """Make what `arguments` name. Returns the exit status."""
    try:
        match list(arguments):
            case ["dev"]:
                print(dev())
            case ["hermes", version]:
                print(hermes(version))
            case ["redocly"]:
                print(redocly())
            case ["docs"]:
                print(docs())
            case ["browser"]:
                print(browser())
            case _:
                usage = "usage: bootstrap.py dev | hermes VERSION | redocly | docs | browser"
                print(usage, file=sys.stderr)
                return 2
    except SetupError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    return 0


def dev() -> Path:
    """The environment of every script and test: `.venv`."""
    return python_environment(ROOT / ".venv", ROOT / "requirements" / "dev.txt", "Python tools")


def docs() -> Path:
    """The environment that builds the documentation."""
    return python_environment(CACHE / "docs", ROOT / "requirements" / "docs.txt", "site builder")


def hermes(version: str) -> Path:
    """An environment with one hermes release and this project in it, as on an agent."""
    lock = ROOT / "requirements" / f"hermes-{version}.txt"
    if not lock.exists():
        known = ", ".join(sorted(hermes_versions()))
        raise SetupError(f"no lock for hermes {version}; there is one for {known}")
    return python_environment(CACHE / "hermes" / version, lock, f"hermes {version}")


def hermes_versions() -> list[str]:
    """The hermes releases that have a lock."""
    locks = (ROOT / "requirements").glob("hermes-*.txt")
    return [lock.stem.removeprefix("hermes-") for lock in locks]


def python_environment(target: Path, lock: Path, label: str) -> Path:
    """A virtual environment with exactly `lock` and this project, editable."""
    locked = _digest(str(target), lock.read_text())
    stamp = _digest(locked, (ROOT / "pyproject.toml").read_text())

    def ready() -> bool:
        return _has_right_python(target) and _stamped(target, stamp)

    with _alone(target, ready) as missing:
        if missing:
            _make_environment(target, lock, locked, label)
            _stamp(target, stamp)
    return target


def _make_environment(target: Path, lock: Path, locked: str, label: str) -> None:
    options = ["--disable-pip-version-check", "--no-input", "--no-deps", "--progress-bar", "off"]
    with Progress(label, target) as progress:
        usable = _has_right_python(target) and (target / LOCKED).exists()
        if not (usable and _stamped(target, locked, LOCKED)):
            wanted = _locked_names(lock)
            progress.say(f"{label}, {len(wanted)} packages")
            if not usable:
                _make_empty(target, progress)
            wheels = ["--require-hashes", "-r", str(lock)]
            progress.run([*_pip(target), "install", *options, *wheels])
            if strangers := sorted(_installed(target) - wanted - UNLOCKED):
                progress.run([*_pip(target), "uninstall", "--yes", *strangers])
            _stamp(target, locked, LOCKED)
        ours = ["--no-build-isolation", "-e", str(ROOT)]
        progress.run([*_pip(target), "install", *options, *ours])


def _locked_names(lock: Path) -> set[str]:
    """The names of the packages in a lock, spelt as it spells them."""
    lines = lock.read_text().splitlines()
    return {line.split("==")[0].split("[")[0] for line in lines if "==" in line}


def _installed(target: Path) -> set[str]:
    """The names of what is in an environment, spelt as locks spell them."""
    command = [*_pip(target), "list", "--format=json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {re.sub(r"[-_.]+", "-", package["name"]).lower() for package in listed}


def redocly() -> Path:
    """The contract linter, installed by the npm of `.venv`."""
    source = ROOT / "tools" / "redocly"
    pinned = ("package.json", "package-lock.json", ".npmrc")
    stamp = _digest(*((source / name).read_text() for name in pinned))
    with _alone(REDOCLY, lambda: _stamped(REDOCLY, stamp)) as missing:
        if missing:
            shutil.rmtree(REDOCLY, ignore_errors=True)
            REDOCLY.mkdir(parents=True)
            for name in pinned:
                shutil.copyfile(source / name, REDOCLY / name)
            with Progress("contract linter", REDOCLY) as progress:
                command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
                progress.run(command, cwd=REDOCLY, env=_with_venv_first())
            _stamp(REDOCLY, stamp)
    return REDOCLY


def browser() -> Path:
    """Chromium. Where there is none, it is installed from Debian's packages, by root alone."""

    def found() -> Path | None:
        return next((Path(path) for path in map(shutil.which, CHROMIUM) if path), None)

    with _alone(CACHE / "browser", lambda: found() is not None) as missing:
        if missing:
            _install_chromium()
    if (path := found()) is None:
        raise SetupError(f"chromium was installed, and is none of {', '.join(CHROMIUM)}")
    return path


def _install_chromium() -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(
            "the tests of the page need Chromium, and there is none here. Install it "
            "(Debian, Ubuntu: apt-get install chromium; elsewhere the system's package "
            "of that name), and have it found as `chromium` on the PATH."
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with Progress("browser", CACHE / "browser") as progress:
        progress.run(["apt-get", "update"], env=quiet)
        packages = ["chromium", "fonts-dejavu-core"]
        wanted = ["install", "--yes", "--no-install-recommends", *packages]
        progress.run(["apt-get", *wanted], env=quiet)


def _with_venv_first() -> dict[str, str]:
    """The environment with the commands of `.venv` (node and npm among them) found first."""
    return {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def _make_empty(target: Path, progress: "Progress") -> None:
    """Make an empty environment, with pip in it where this Python can put it there."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        progress.run([PYTHON, "-m", "venv", str(target)])
    except SetupError:
        # Debian ships venv without what puts pip into it; the system's pip takes its place.
        progress.run([PYTHON, "-m", "venv", "--clear", "--without-pip", str(target)])


def _pip(target: Path) -> list[str]:
    """How to call a pip that installs into an environment."""
    python = str(target / "bin" / "python")
    if (target / "bin" / "pip").exists():
        return [python, "-m", "pip"]
    return [PYTHON, "-m", "pip", "--python", python]


@contextlib.contextmanager
def _alone(target: Path, ready: Callable[[], bool]) -> Iterator[bool]:
    """Whether `target` has to be made; if so, only this process makes it in the meantime."""
    if ready():
        yield False
        return
    locks = CACHE / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / target.name.lstrip(".")).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that sets up {target.name}", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield not ready()


def _has_right_python(target: Path) -> bool:
    """Whether the Python below `target` is still there, and the one asked for, if any."""
    python = target / "bin" / "python"
    return python.exists() and ("PYTHON" not in os.environ or os.path.realpath(python) == PYTHON)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _stamped(target: Path, stamp: str, name: str = DONE) -> bool:
    with contextlib.suppress(OSError):
        return (target / name).read_text() == stamp
    return False


def _stamp(target: Path, stamp: str, name: str = DONE) -> None:
    (target / name).write_text(stamp)


class Progress:
    """One line that says what is going on and for how long; piped, one line at the end."""

    def __init__(self, label: str, target: Path) -> None:
        self._label = label
        logs = CACHE / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._log = logs / f"{target.name.lstrip('.')}.log"
        self._log.write_text("")
        self._done = threading.Event()
        self._painter = threading.Thread(target=self._paint, daemon=True)
        self._begun = time.monotonic()

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            self._painter.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._done.set()
        if self._painter.is_alive():
            self._painter.join()
        took = f"{time.monotonic() - self._begun:.0f} s"
        outcome = "set up" if error is None else "failed"
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{clear}{outcome}: {self._label} ({took})", file=sys.stderr)

    def say(self, label: str) -> None:
        """Change what the line says is going on."""
        self._label = label

    def run(
        self, command: Sequence[str], cwd: Path = ROOT, env: Mapping[str, str] | None = None
    ) -> None:
        """Run one command, its output into the log. SetupError shows where that ended."""
        with self._log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            done = subprocess.run(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if done.returncode:
            raise SetupError(self._explain(command))

    def _explain(self, command: Sequence[str]) -> str:
        tail = "\n".join(f"  {line}" for line in self._log.read_text().splitlines()[-8:])
        place = self._log.relative_to(ROOT)
        return f"{' '.join(command[:4])} …\n{tail}\nThe whole log is in {place}."

    def _paint(self) -> None:
        while not self._done.wait(TICK):
            took = f"{time.monotonic() - self._begun:.0f} s"
            line = f"{self._label} … {took}  {self._latest()}"
            print(f"\r\033[K{line[:79]}", end="", file=sys.stderr, flush=True)

    def _latest(self) -> str:
        """What the running command said last, in a word or two."""
        lines = self._log.read_text(errors="replace").splitlines()
        words = lines[-1].split() if lines else []
        return " ".join(words[:2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
