"""python -m side_by_side: measures Vidloom, its limits and its peers. `make bench` calls it."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import sys

from . import report
from .media import Studio
from .rows import Rows
from .run import Bench, Tools, say

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="side_by_side", description=__doc__)
    parser.add_argument("rows", nargs="*", help="names of rows, or what stands before their underscore (D1, D6); none: all")
    parser.add_argument("--list", action="store_true", help="names the rows and ends")
    parser.add_argument("--rounds", type=int, default=0, help="undisturbed rounds wanted; 0: what the row says")
    parser.add_argument("--seconds", type=float, default=60, help="most time for the rounds of one row")
    parser.add_argument("--realtime", action="store_true", help="participants run before all ordinary processes (SCHED_RR; root)")
    parser.add_argument("--only", default="", help="participants whose names hold this (Vidloom always plays)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out/bench")
    parser.add_argument("--film", type=pathlib.Path, default=ROOT / "build/clips/vtest.avi", help="what all films are made of")
    parser.add_argument("--films", type=pathlib.Path, default=ROOT / "build/bench-films")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/bench/bin")
    parser.add_argument(
        "--peers", type=pathlib.Path, default=ROOT / "build/bench-venv/bin/python", help="a Python with the peers installed"
    )
    parser.add_argument("--python", type=pathlib.Path, default=ROOT / ".venv/bin/python", help="a Python with vidloom installed")
    parser.add_argument("--stubs", type=pathlib.Path, default=ROOT / "build/bench-venv/cuda_stubs")
    parser.add_argument("--write", type=pathlib.Path, help="a document whose generated section is renewed from all rows found in --out")
    parser.add_argument("--write-only", action="store_true", help="measures nothing")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if not options.film.exists():
        say(f"{options.film} is missing: `make setup` fetches it")
        return 2
    rows = Rows(Studio(options.film, options.films), options.peers, options.stubs, options.python, options.programs / "vidloom")
    wanted = rows.names()
    if options.rows == ["smoke"]:
        wanted = ["smoke"]
    elif options.rows:
        wanted = [name for name in wanted if any(name == row or name.startswith(row + "_") for row in options.rows)]
    if options.list:
        print("\n".join(wanted))
        return 0
    if not wanted and not options.write:
        say(f"no such row; known: {', '.join(rows.names())}")
        return 2
    cores = os.sched_getaffinity(0)
    tools = Tools(
        options.programs / "vidloom_bench_ours",
        options.programs / "vidloom_bench_limits",
        options.peers,
        options.python,
        options.stubs,
        pathlib.Path(__file__).resolve().parents[1],
        options.programs / "vidloom_bench_towers",
    )
    bench = Bench(tools, options.out, cores, options.seconds, options.realtime)
    if not options.write_only:
        for name in wanted:
            say(f"{name}")
            row = rows.make(name)
            if options.rounds:
                row.rounds = options.rounds
            if options.only:
                row.participants = [p for p in row.participants if p.role == "ours" or options.only in p.name or p.role == options.only]
            result = bench.row(row)
            (options.out / f"{name}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
            for person in result["participants"]:
                figure = person["figure"]
                if figure:
                    ratio = result["faster_than"].get(person["name"])
                    times = f"   x{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]" if ratio else ""
                    median, least, cpu = (figure[key] * (1 if row.unit == "MB" else 1000) for key in ("median", "min", "cpu"))
                    text = f"{median:9.3f} {'MB' if row.unit == 'MB' else 'ms'}  least {least:9.3f}  cpu {cpu:9.3f}"
                    say(f"  {person['name']:44} {text}  good {figure['good']}/{figure['runs']}{times}")
        remember(options, rows, cores)
    if options.write:
        report.main(options.out, options.write, rows.names())
    return 0


def remember(options: argparse.Namespace, rows: Rows, cores: set[int]) -> None:
    """Machine, versions and films, beside the rows; films of earlier rows stay listed."""
    path = options.out / "machine.json"
    films = json.loads(path.read_text(encoding="utf-8"))["films"] if path.exists() else {}
    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {**report.machine(cores), "scheduling": "real-time, round robin" if options.realtime else "ordinary"},
        "versions": report.versions(options.peers, options.python),
        "films": {**films, **rows.studio.used()},
    }
    path.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
