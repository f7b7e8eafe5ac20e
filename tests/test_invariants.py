"""What no file of this project may say.

The words are put together here, so that this file does not say them either.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IGNORED = (ROOT / ".gitignore").read_text().split()
MADE = [".git", *(pattern.rstrip("/") for pattern in IGNORED)]
"""What tools make; nothing of it is committed."""

VENDORS = ["q" + "stash", "up" + "stash"]
REGISTRIES = ["pypi" + ".org", "python" + "hosted.org", "registry." + "npmjs.org"]
REGISTRIES += ["registry." + "yarnpkg.com", "deb." + "debian.org", "proxy." + "golang.org"]
PLACES = ["/" + "(work|farm)/[a-z.]+", r"\.\./" + "shared", "/" + r"(root|home)/[\w.]"]

RULES = {
    "a scheduler vendor": "|".join(VENDORS),
    "a package registry's host": "|".join(re.escape(host) for host in REGISTRIES),
    "a place of one machine": rf"(?<![\w.])({'|'.join(PLACES)})",
}


def offences(root: Path) -> list[str]:
    """Every line below `root` that says what it must not: file, line and what."""
    return [
        f"{file.relative_to(root)}:{number}: {what}"
        for file in files(root)
        for number, line in enumerate(file.read_bytes().decode(errors="replace").splitlines(), 1)
        for what, pattern in RULES.items()
        if re.search(pattern, line, re.IGNORECASE)
    ] + [
        f"{file.relative_to(root)}: {what}"
        for file in files(root)
        for what, pattern in RULES.items()
        if re.search(pattern, file.name, re.IGNORECASE)
    ]


def files(root: Path) -> Iterator[Path]:
    """Every file below `root` that somebody wrote."""
    for path in sorted(root.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in MADE):
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def test_no_file_says_what_it_must_not() -> None:
    assert offences(ROOT) == []


def test_the_files_that_matter_are_looked_at() -> None:
    looked_at = {str(file.relative_to(ROOT)) for file in files(ROOT)}
    assert {
        "README.md",
        "pyproject.toml",
        ".ci/run",
        "scripts/lib.sh",
        "openapi/nas-agent-cron.yaml",
        "nas_sdk/_generated/contract.json",
        "chronos_plugin/plugin.yaml",
        "requirements/dev.txt",
        "tools/redocly/package-lock.json",
        "tests/test_invariants.py",
    } <= looked_at


@pytest.mark.parametrize(
    "line",
    [
        f"We use {VENDORS[0].title()} below.",
        f"https://{VENDORS[1].upper()}.com",
        f"index-url = https://{REGISTRIES[0]}/simple",
        f'"resolved": "https://{REGISTRIES[2]}/a/-/a-1.0.0.tgz"',
        "see /" + "work/main/README.md",
        "see ../" + "shared/CONTRACT.md",
    ],
)
def test_a_planted_word_is_found(tmp_path: Path, line: str) -> None:
    file = tmp_path / "docs" / "page.md"
    file.parent.mkdir()
    file.write_text(f"fine\n{line}\n")
    assert [found.rpartition(":")[0] for found in offences(tmp_path)] == ["docs/page.md:2"]


def test_a_planted_name_is_found(tmp_path: Path) -> None:
    (tmp_path / f"{VENDORS[0]}.py").touch()
    assert len(offences(tmp_path)) == 1


@pytest.mark.parametrize("lock", ["requirements/dev.txt", "tools/redocly/package-lock.json"])
def test_locks_name_no_host_at_all(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "resolved" not in text


def test_every_lock_has_hashes() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        entries = re.split(r"\n(?=\S)", lock.read_text().strip())
        assert all("--hash=sha256:" in entry for entry in entries), lock.name
