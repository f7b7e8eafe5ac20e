"""`scripts/simulate`: see its `--help`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import campaign, exhaustive, refused
from .campaign import Tally, Work
from .removals import REMOVALS
from .scene import draw
from .worker import prepare
from .world import World


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 only if every promise was kept."""
    given = _parser().parse_args(arguments)
    work = Work(given.provider, given.remove, fair=given.provider != "ours")
    if given.exhaustive and given.place is not None:
        return _tell_short(work, given.exhaustive, given.place)
    if given.exhaustive and given.removals:
        return _explore_removals(given.every)
    if given.exhaustive:
        only = "" if given.exhaustive == "all" else given.exhaustive
        return _explore(work, given.every, only)
    if given.story:
        return _tell(work, given.first, given.seeds)
    if given.refused:
        return _refused(work, given.refused)
    if given.compare:
        return _compare(given.first, given.seeds)
    if given.removals:
        return _remove(given.first, given.seeds)
    tally = _simulate(work, given.first, given.seeds)
    for seed in tally.failing[: campaign.SHOWN]:
        print(f"seed {seed}: {'; '.join(tally.why[seed])}")
        print(f"  its story: scripts/simulate --first {seed} --seeds 1 --story{_options(work)}")
    print(
        f"{tally.runs} runs, {tally.faults} faults, {tally.requests} requests for "
        f"{tally.events} events ({tally.per_event:.1f} each), other broken promises "
        f"{len(tally.others)}"
    )
    print(f"seeds {tally.seeds} strands {len(tally.strands)} doubles {len(tally.doubles)}")
    return int(bool(tally.failing))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/simulate",
        description="Lets the cron provider live through faults in virtual time, one world per "
        "seed, and counts the worlds in which a job is forgotten (strands) or runs twice.",
    )
    parser.add_argument("--seeds", type=_count, default=2000, metavar="N", help="how many worlds")
    parser.add_argument("--first", type=int, default=0, metavar="S", help="the first seed")
    parser.add_argument("--story", action="store_true", help="tell what happens, line by line")
    parser.add_argument(
        "--provider",
        choices=("ours", "bundled"),
        default="ours",
        help="ours, or the one that hermes 0.19.0 bundles",
    )
    parser.add_argument(
        "--exhaustive",
        nargs="?",
        const="all",
        choices=("all", *exhaustive.BY_NAME),
        metavar="STORY",
        help="every single fault and every pair of faults at every I/O of the short stories, "
        "or of one of them: " + ", ".join(exhaustive.BY_NAME),
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="of the pairs, only one in N; 0: none"
    )
    parser.add_argument(
        "--place", metavar="N=FAULT,…", help="tell a short story with faults at these points"
    )
    parser.add_argument(
        "--refused", type=_count, metavar="HOURS", help="what a job costs that is refused so long"
    )
    parser.add_argument("--compare", action="store_true", help="both, as a table")
    parser.add_argument(
        "--removals",
        action="store_true",
        help="ours without each of its protections, as a table; with --exhaustive, by which "
        "short story each is missed first",
    )
    parser.add_argument(
        "--remove",
        choices=tuple(REMOVALS),
        default="",
        metavar="WHAT",
        help="ours without one protection: " + ", ".join(REMOVALS),
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


def _options(work: Work) -> str:
    provider = "" if work.provider == "ours" else f" --provider {work.provider}"
    return provider + (f' --remove "{work.removal}"' if work.removal else "")


def _tell(work: Work, first: int, seeds: int) -> int:
    python = campaign.python_for(work.provider)
    if Path(sys.prefix).resolve() != python.parents[1].resolve():
        again = ["--story", "--first", str(first), "--seeds", str(seeds)]
        again += ["--provider", work.provider]
        command = [str(python), "-m", "tests.simulation", *again]
        return subprocess.run(command, cwd=campaign.ROOT, check=False).returncode
    broken = 0
    driver = prepare(work)
    for seed in range(first, first + seeds):
        result = World(draw(seed, one_phase=work.fair), driver, told=True).run()
        print("\n".join(result.story.lines()))
        for problem in result.strands + result.doubles + result.others:
            print(f"broken: {problem}")
        broken += not result.ok
    return int(broken > 0)


def _tell_short(work: Work, name: str, place: str) -> int:
    """Tell a short story with faults at these points of its I/O."""
    if name not in exhaustive.BY_NAME:
        print(f"name a story: --exhaustive with one of {', '.join(exhaustive.BY_NAME)}")
        return 2
    story, driver = exhaustive.BY_NAME[name], prepare(work)
    result, _ = exhaustive.play(story, exhaustive.read(place), driver, told=True)
    print("\n".join(result.story.lines()))
    for problem in result.strands + result.doubles + result.others:
        print(f"broken: {problem}")
    return int(not result.ok)


def _explore(work: Work, every: int, only: str) -> int:
    """A line for each short story; the status is 0 if no promise was broken in any."""
    began = time.monotonic()
    found = campaign.explore(work, every, only=only, on_progress=_tell_broken)
    names = [only] if only else list(exhaustive.BY_NAME)
    print(f"{'':<28}{'I/O':>6}{'single':>8}{'pairs':>9}{'broken':>8}")
    for name in names:
        own = [each for each in found if each.story == name]
        singles = sum(not each.points for each in own)
        runs, failed = sum(each.runs for each in own), sum(len(each.broken) for each in own)
        points = sum(each.points for each in own)
        counts = f"{points:>6}{singles:>8}{runs - singles - 1:>9}{failed:>8}"
        print(f"{name:<28}{counts}")
    broken = [(each.story, *one) for each in found for one in each.broken]
    for name, place, why in broken[: campaign.SHOWN]:
        print(f"{name}: {why}")
        print(f'  tell it: scripts/simulate --exhaustive "{name}" --place "{place}"')
    runs, points = sum(each.runs for each in found), sum(each.points for each in found)
    print(
        f"stories {len(names)} steps {points} runs {runs} "
        f"seconds {time.monotonic() - began:.0f} broken {len(broken)}"
    )
    return int(bool(broken))


def _tell_broken(found: campaign.Found) -> None:
    """Tell at once what is broken: the whole takes an hour."""
    if found.points and sys.stderr.isatty():
        print(f"{found.story} …", file=sys.stderr)
    for place, why in found.broken[:1]:
        print(f'{found.story}, --place "{place}": {why}', file=sys.stderr)


def _explore_removals(every: int) -> int:
    """The status is 0 if every removal breaks a promise in some short story."""
    unnoticed = []
    for name, removal in REMOVALS.items():
        found = campaign.explore(Work(removal=name), every, until_broken=True)
        broken = [(each.story, *one) for each in found for one in each.broken]
        story, place, why = broken[0] if broken else ("", "", "")
        where = f"{story}, {place or 'no fault'}: {why}" if story else "NOT MISSED"
        print(f"{name:<20}{sum(each.runs for each in found):>6}  {where}", flush=True)
        unnoticed += [] if broken else [f"{name} ({removal.why})"]
    if unnoticed:
        print(f"not missed: {', '.join(unnoticed)}")
    return int(bool(unnoticed))


def _refused(work: Work, hours: int) -> int:
    """What a job costs that its host refuses to run, as a table."""
    driver = prepare(work)
    print(refused.HEADER)
    for machine in refused.MACHINES:
        for host in ("0.19", "0.22"):
            print(refused.measure(machine, host, hours, driver).row(), flush=True)
    return 0


def _simulate(work: Work, first: int, seeds: int) -> Tally:
    return campaign.run(work, first, seeds, on_progress=_progress(seeds))


def _progress(seeds: int) -> Callable[[Tally], None]:
    """A line that is rewritten a few times a second, where somebody watches."""
    shown = [0.0]

    def show(tally: Tally) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and (now - shown[0] > 0.2 or tally.seeds == seeds):
            shown[0] = now
            end = "\n" if tally.seeds == seeds else ""
            sys.stderr.write(f"\r{tally.seeds} of {seeds}, {len(tally.why)} failing{end}")
            sys.stderr.flush()

    return show


HEADER = f"{'':<20}{'strands':>9}{'doubles':>9}{'others':>9}{'runs':>9}{'requests/event':>16}"


def _row(name: str, tally: Tally) -> str:
    counts = "".join(f"{len(each):>9}" for each in (tally.strands, tally.doubles, tally.others))
    return f"{name:<20}{counts}{tally.runs:>9}{tally.per_event:>16.1f}"


def _compare(first: int, seeds: int) -> int:
    """Both providers in the same worlds; the status is that of ours."""
    tallies = {name: Work(name, fair=True) for name in ("bundled", "ours")}
    print(f"seeds {first} to {first + seeds - 1}\n{HEADER}")
    for name, work in tallies.items():
        tally = _simulate(work, first, seeds)
        print(_row(name, tally), flush=True)
    return int(bool(tally.failing))


def _remove(first: int, seeds: int) -> int:
    """The status is 0 if every removal is noticed, and nothing breaks without one."""
    print(f"seeds {first} to {first + seeds - 1}\n{HEADER}  what it is for")
    unnoticed = []
    for name in ("", *REMOVALS):
        tally = _simulate(Work(removal=name), first, seeds)
        why = REMOVALS[name].why if name else "with every protection"
        print(f"{_row(name or '(none)', tally)}  {why}", flush=True)
        if bool(tally.failing) != bool(name):
            unnoticed.append(name or "(none)")
    if unnoticed:
        print(f"not as it should be: {', '.join(unnoticed)}")
    return int(bool(unnoticed))


if __name__ == "__main__":
    sys.exit(main())
