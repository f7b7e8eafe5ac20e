"""What the demo prints, and where."""

import io
import json

from tools.demo.timeline import Timeline, duration, instant


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tell(out: io.StringIO, *, as_json: bool) -> str:
    timeline = Timeline(out, as_json=as_json)
    timeline.note("A note.")
    timeline.passing("waiting")
    timeline.line("fired", "minutely", "20 ms after it was due; the agent was down")
    timeline.event("fired", job="minutely", lateness_ms=20)
    return out.getvalue()


def test_piped_it_is_plain_text_of_80_columns() -> None:
    note, line = tell(io.StringIO(), as_json=False).splitlines()

    assert note == "A note."
    assert line == "   0.0 s  fired     minutely  20 ms after it was due; the agent was down"


def test_a_terminal_gets_colour_and_a_line_that_passes() -> None:
    told = tell(Terminal(), as_json=False)

    assert "\033[33mfired    \033[0m" in told
    assert "waiting\033[0m\r\033[K" in told


def test_json_is_one_object_a_line_and_nothing_else() -> None:
    for out in (io.StringIO(), Terminal()):
        (line,) = tell(out, as_json=True).splitlines()
        told = json.loads(line)
        assert told.pop("elapsed_s") >= 0
        assert told == {"event": "fired", "job": "minutely", "lateness_ms": 20}


def test_instants_are_utc_to_the_millisecond() -> None:
    assert instant(1781786096789) == "2026-06-18T12:34:56.789Z"


def test_durations_are_for_people() -> None:
    assert (duration(20), duration(2345)) == ("20 ms", "2.3 s")
