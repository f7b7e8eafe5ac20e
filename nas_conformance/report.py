"""A report for people (80 columns), for scripts (JSON) and for CI (JUnit XML)."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final
from xml.etree import ElementTree

import attrs

from nas_sdk._version import __version__

from .runner.suite import Report, Verdict
from .runner.wire import HIDDEN, CheckFailed, Exchange

WIDTH: Final = 80
_LABEL: Final = 10
_SHOWN: Final = 600
_WORDS: Final = {"passed": "ok", "failed": "FAIL", "skipped": "skip", "not run": "LATE"}


def text(report: Report) -> str:
    """The report for people: one line per check, then every failure in full."""
    report = _hidden(report)
    lines = [*_header(report), ""]
    lines += [_line(verdict) for verdict in report.verdicts]
    lines += _failures(report)
    lines += ["", *_summary(report)]
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> str:
    """The report for scripts: one JSON object."""
    report = _hidden(report)
    document = {
        "kit": __version__,
        "contract": report.contract,
        "url": report.options.base_url,
        "seed": report.options.seed,
        "seconds": round(report.seconds, 3),
        "requests": report.requests,
        "ok": report.ok,
        "left_behind": list(report.left_behind),
        "checks": [_as_dict(verdict) for verdict in report.verdicts],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_junit(report: Report) -> str:
    """The report for CI."""
    suite = ElementTree.Element(
        "testsuite",
        name="nas-conformance",
        tests=str(len(report.verdicts)),
        failures=str(report.count("failed") + report.count("not run")),
        skipped=str(report.count("skipped")),
        time=f"{report.seconds:.3f}",
    )
    for verdict in _hidden(report).verdicts:
        _add_case(suite, verdict)
    return ElementTree.tostring(suite, encoding="unicode") + "\n"


def _add_case(suite: ElementTree.Element, verdict: Verdict) -> None:
    group, _, name = verdict.check.name.partition(".")
    seconds = f"{verdict.seconds:.3f}"
    case = ElementTree.SubElement(suite, "testcase", classname=group, name=name, time=seconds)
    if verdict.outcome == "skipped":
        ElementTree.SubElement(case, "skipped", message=verdict.reason)
    elif verdict.broken is not None:
        failure = ElementTree.SubElement(case, "failure", message=_printable(verdict.broken.wrong))
        failure.text = _printable("\n".join(_body(verdict)))
    elif verdict.outcome == "not run":
        ElementTree.SubElement(case, "failure", message=verdict.reason)


def _header(report: Report) -> list[str]:
    return _wrap(
        f"nas-conformance {__version__}, contract {report.contract}, {report.options.base_url}"
    )


def _line(verdict: Verdict) -> str:
    head = f"{_WORDS[verdict.outcome]:<4}  {verdict.check.name:<22}  "
    said = verdict.reason or verdict.check.promise
    return head + textwrap.shorten(said, WIDTH - len(head), placeholder=" …")


def _summary(report: Report) -> Iterator[str]:
    counts = [f"{report.count('passed')} passed", f"{report.count('failed')} failed"]
    counts += [f"{n} {each}" for each in ("skipped", "not run") if (n := report.count(each))]
    yield (
        f"{', '.join(counts)} in {report.seconds:.1f} s, {report.requests} requests, "
        f"--seed {report.options.seed}"
    )
    if report.left_behind:
        words = f"left armed, because the cancel failed: {', '.join(report.left_behind)}"
        yield from _wrap(words)
    if report.count("failed") > 1:
        yield "Begin at the top: the later checks rest on the earlier ones."


def _failures(report: Report) -> Iterator[str]:
    """Every failure in full; those that are the same again are named with the first."""
    alike: dict[object, list[Verdict]] = {}
    for verdict in report.verdicts:
        if verdict.broken is not None:
            alike.setdefault(_key(verdict.broken), []).append(verdict)
    for first, *rest in alike.values():
        yield from ["", f"FAIL {first.check.name}", *_body(first)]
        yield from _field("also", ", ".join(verdict.check.name for verdict in rest))


def _key(broken: CheckFailed) -> object:
    """The same for failures of which one cause is likely."""
    exchange = broken.exchange
    return (broken.wrong, exchange and (exchange.path, exchange.status))


def _body(verdict: Verdict) -> Iterator[str]:
    """A failure in full: what was promised, what happened, what to do."""
    check, broken = verdict.check, verdict.broken
    assert broken is not None
    yield from _field("promise", check.promise)
    yield from _field("contract", str(check.clause))
    if broken.steps:
        yield from _lines("steps", broken.steps)
    if broken.exchange is not None:
        yield from _lines("request", _request(broken.exchange))
        yield from _lines("response", _response(broken.exchange))
    yield from _field("wrong", broken.wrong)
    yield from _field("do", check.advice)


def _request(exchange: Exchange) -> list[str]:
    first = f"{exchange.method} {exchange.path}, {exchange.authorization}"
    return [first] if exchange.sent is None else [first, _short(exchange.sent)]


def _response(exchange: Exchange) -> list[str]:
    first = f"{exchange.status} {exchange.media_type or 'without a media type'}"
    return [first, _short(exchange.body)]


def _wrap(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, break_on_hyphens=False)


def _field(label: str, words: str) -> list[str]:
    return _lines(label, [words])


def _lines(label: str, texts: Sequence[str]) -> list[str]:
    """Wrapped lines behind a label."""
    wrapped = [
        line
        for each in texts
        for line in textwrap.wrap(_printable(each), WIDTH - _LABEL - 2, break_on_hyphens=False)
    ]
    heads = [f"  {label:<{_LABEL - 1}} ", *[" " * (_LABEL + 2)] * len(wrapped)]
    return [head + line for head, line in zip(heads, wrapped, strict=False)]


def _short(data: bytes) -> str:
    shown = data[:_SHOWN].decode("utf-8", "backslashreplace") or "(no body)"
    return shown if len(data) <= _SHOWN else f"{shown} … ({len(data)} bytes)"


def _printable(words: str) -> str:
    """Without control characters, which a terminal or XML would choke on."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words.replace("\n", " "))


def _as_dict(verdict: Verdict) -> dict[str, Any]:
    check, broken = verdict.check, verdict.broken
    said: dict[str, Any] = {
        "name": check.name,
        "outcome": verdict.outcome,
        "promise": check.promise,
        "contract": str(check.clause),
        "seconds": round(verdict.seconds, 3),
    }
    if verdict.reason:
        said["reason"] = verdict.reason
    if broken is not None:
        said |= {"wrong": broken.wrong, "do": check.advice, "steps": broken.steps}
    if broken is not None and broken.exchange is not None:
        said |= {
            "request": "\n".join(_request(broken.exchange)),
            "response": "\n".join(_response(broken.exchange)),
        }
    return said


def _hidden(report: Report) -> Report:
    """The report without the tokens, which a NAS may have repeated.

    Taken out before anything is wrapped or cut off: of a part one could not tell.
    """
    secrets = report.options.secrets
    verdicts = [
        attrs.evolve(
            verdict,
            reason=_hide(verdict.reason, secrets),
            broken=verdict.broken and _hide_in(verdict.broken, secrets),
        )
        for verdict in report.verdicts
    ]
    return attrs.evolve(report, verdicts=verdicts)


def _hide_in(broken: CheckFailed, secrets: Sequence[str]) -> CheckFailed:
    exchange = broken.exchange and attrs.evolve(
        broken.exchange,
        path=_hide(broken.exchange.path, secrets),
        sent=broken.exchange.sent and _hide_bytes(broken.exchange.sent, secrets),
        body=_hide_bytes(broken.exchange.body, secrets),
    )
    steps = [_hide(step, secrets) for step in broken.steps]
    return CheckFailed(_hide(broken.wrong, secrets), exchange, steps=steps)


def _hide_bytes(data: bytes, secrets: Sequence[str]) -> bytes:
    return _hide(data.decode("latin-1"), secrets).encode("latin-1")


def _hide(words: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        words = words.replace(secret, HIDDEN)
    return words
