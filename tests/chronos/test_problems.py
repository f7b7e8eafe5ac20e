"""Nothing that `chronos` tells shows the password of a URL, whichever setting it is from."""

from collections.abc import Callable

import pytest

from chronos_plugin.cli import findings
from chronos_plugin.cli.problems import Problem

SECRET = "hunter2"
URLS = [
    f"{scheme}://{user}@nas.example.com{path}"
    for scheme in ("https", "http", "ftp")
    for user in (SECRET, f"a:{SECRET}", f"a:{SECRET}/b", f"a:b@{SECRET}", f":{SECRET}")
    for path in ("", "/x", ":8700/a?b#c")
]
TOLD: dict[str, Callable[[str], object]] = {
    "a problem of a command": lambda text: str(Problem(text)),
    "ok": lambda text: findings.ok("check", text),
    "a warning": lambda text: findings.warning("check", text, text),
    "a problem": lambda text: findings.problem("check", text, text),
    "skipped": lambda text: findings.skipped("check", text),
}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("told", TOLD)
def test_no_password_of_a_url_is_told(told: str, url: str) -> None:
    said = str(TOLD[told](f"{url} does not answer; ask https://other.example.com"))
    assert SECRET not in said
    assert "nas.example.com" in said
    assert "https://other.example.com" in said
