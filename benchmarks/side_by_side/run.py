"""Runs rows: interleaved ABBA rounds, each run between two calibrations, each participant behind its gate."""

from __future__ import annotations

import os
import pathlib
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from .gates import Verdict, times_agree
from .rows import Participant, Row
from .stats import paired_ratio, percentile, undisturbed
from .worker import Worker, WorkerError


@dataclass
class Run:
    round: int
    seconds: float
    cpu: float
    good: bool  # nothing disturbed it
    calibration: float
    foreign: float


@dataclass
class Record:
    """What one participant did in one row."""

    name: str
    role: str
    note: str
    gate: Verdict = field(default_factory=lambda: Verdict(False, "not run"))
    runs: list[Run] = field(default_factory=list)
    peak_rss_mb: float = 0.0

    @property
    def good(self) -> list[float]:
        return [run.seconds for run in self.runs if run.good]


@dataclass
class Tools:
    """Where the programs are."""

    ours: pathlib.Path
    limits: pathlib.Path
    python: pathlib.Path  # with the peers
    vidloom_python: pathlib.Path  # with the package vidloom
    stubs: pathlib.Path
    root: pathlib.Path  # the folder that holds the package side_by_side
    towers: pathlib.Path | None = None  # CLIP's towers alone; built where there is torch


class Bench:
    def __init__(self, tools: Tools, out: pathlib.Path, cores: set[int], budget: float, realtime: bool = False) -> None:
        self.tools, self.out, self.cores, self.budget, self.realtime = tools, out, cores, budget, realtime
        out.mkdir(parents=True, exist_ok=True)
        self.log = out / "workers.log"
        self._metronome = self._worker("limits")
        self._best_calibration = float("inf")

    def _worker(self, program: str) -> Worker:
        tools = self.tools
        environment = {**os.environ, "PYTHONPATH": str(tools.root), "SIDE_BY_SIDE_STUBS": str(tools.stubs), "HF_HUB_OFFLINE": "1"}
        if program in ("ours", "limits", "towers"):
            command = [str(getattr(tools, program))]
        else:
            python = tools.vidloom_python if program == "vidloom_" else tools.python
            command = [str(python), "-m", f"side_by_side.peers.{program}"]
        return Worker(command, self.cores, self.log, environment, self.realtime)

    def calibrate(self) -> float:
        seconds = float(self._metronome.ask("calibrate", {"rounds": 6})["seconds"])
        self._best_calibration = min(self._best_calibration, seconds)
        return seconds

    def row(self, row: Row) -> dict[str, Any]:
        """Runs one row and \\return everything about it, ready for JSON."""
        workers = {p.name: self._worker(p.program) for p in row.participants}
        records = {p.name: Record(p.name, p.role, p.note) for p in row.participants}
        playing = []
        try:
            for participant in row.participants:
                record = records[participant.name]
                record.gate = self._gate(row, participant, workers[participant.name])
                say(f"  {participant.name}: {record.gate.text if record.gate.passed else 'VOID: ' + record.gate.text}")
                if record.gate.passed:
                    playing.append(participant)
            self._rounds(row, playing, workers, records)
        finally:
            for worker in workers.values():
                worker.close()
        return self._summary(row, records)

    def _gate(self, row: Row, participant: Participant, worker: Worker) -> Verdict:
        try:
            taken = None
            if participant.pictures:
                size, take, judge = participant.pictures()
                with tempfile.TemporaryDirectory() as folder:
                    answer, taken = worker.check(participant.task, participant.arguments, pathlib.Path(folder), take, size)
            else:
                answer = worker.ask(participant.task, participant.arguments)
            verdict = self._light_gate(row, participant, answer)
            if verdict.passed and participant.pictures:
                deep = judge(taken, self._times(row, participant, answer))
                verdict = Verdict(deep.passed, f"{verdict.text}; {deep.text}" if deep.passed else deep.text)
            return verdict
        except (WorkerError, ValueError) as error:
            return Verdict(False, str(error))

    @staticmethod
    def _times(row: Row, participant: Participant, answer: dict[str, Any]) -> list[float]:
        """On the container's clock."""
        return [time_ + row.start for time_ in answer["times"]] if participant.from_zero else list(answer["times"])

    def _light_gate(self, row: Row, participant: Participant, answer: dict[str, Any]) -> Verdict:
        """Times (and statistics) of every single run."""
        if participant.timeless and not answer["times"]:
            return Verdict(True, "does the work only")
        verdict = times_agree(self._times(row, participant, answer), row.times, ordered=row.ordered)
        if verdict.passed and row.values and answer["values"] and "not judged" not in participant.note:
            values = row.values(answer["values"])
            verdict = Verdict(values.passed, f"{verdict.text}, {values.text}" if values.passed else values.text)
        return verdict

    def _rounds(self, row: Row, playing: list[Participant], workers: dict[str, Worker], records: dict[str, Record]) -> None:
        for participant in list(playing):
            for _ in range(row.warmups):
                self._once(row, participant, workers[participant.name], records[participant.name], -1, playing)
        started, number = time.monotonic(), 0
        while playing and (number < row.rounds or not self._enough(row, records)):
            if number >= min(4, row.rounds) and time.monotonic() - started > self.budget:
                break
            for participant in list(playing if number % 2 == 0 else reversed(playing)):
                self._once(row, participant, workers[participant.name], records[participant.name], number, playing)
            number += 1

    def _enough(self, row: Row, records: dict[str, Record]) -> bool:
        return all(len(record.good) >= row.rounds for record in records.values() if record.gate.passed)

    def _once(self, row: Row, participant: Participant, worker: Worker, record: Record, number: int, playing: list[Participant]) -> None:
        before, busy = self.calibrate(), _busy_seconds()
        try:
            answer = worker.ask(participant.task, participant.arguments)
        except WorkerError as error:
            record.gate = Verdict(False, str(error))
            playing.remove(participant)
            return
        busy = _busy_seconds() - busy
        after = self.calibrate()
        verdict = self._light_gate(row, participant, answer)
        if not verdict.passed:
            record.gate = Verdict(False, f"round {number}: {verdict.text}")
            playing.remove(participant)
            return
        record.peak_rss_mb = max(record.peak_rss_mb, answer["peak_rss_kb"] / 1024)
        if number >= 0:
            # Tasks that repeat inside report one repetition; what they took in all is in neither figure, so the others' share is not known.
            # Beside real-time processes others only get what these leave idle.
            foreign = max(0.0, busy - answer["cpu"]) if row.unit in ("ms", "s") and not self.realtime else 0.0
            record.runs.append(Run(number, answer["seconds"], answer["cpu"], False, max(before, after), foreign))
            cores = len(self.cores)
            for run in record.runs:
                run.good = undisturbed(run.calibration, run.calibration, self._best_calibration, run.foreign, run.seconds, cores)

    def _summary(self, row: Row, records: dict[str, Record]) -> dict[str, Any]:
        cores = len(self.cores)
        for record in records.values():
            for run in record.runs:
                run.good = undisturbed(run.calibration, run.calibration, self._best_calibration, run.foreign, run.seconds, cores)
        people = []
        for record in records.values():
            good = record.good
            counted = good if len(good) >= 3 else [run.seconds for run in record.runs]
            cpu = [run.cpu for run in record.runs if run.good] or [run.cpu for run in record.runs]
            figure = None
            if record.gate.passed and counted:
                figure = {
                    "median": statistics.median(counted),
                    "p95": percentile(counted, 0.95),
                    "min": min(counted),
                    "cpu": statistics.median(cpu),
                    "good": len(good),
                    "runs": len(record.runs),
                    "disturbed": len(good) < 3,
                }
            people.append(
                {
                    "name": record.name,
                    "role": record.role,
                    "note": record.note,
                    "gate": asdict(record.gate),
                    "figure": figure,
                    "peak_rss_mb": round(record.peak_rss_mb, 1),
                    "runs": [asdict(run) for run in record.runs],
                }
            )
        ratios = {}
        ours = records[row.ours.name]
        for record in records.values():
            if record is ours or not (record.gate.passed and ours.gate.passed):
                continue
            ratio, disturbed = _ratio(record.runs, ours.runs)
            if ratio:
                cpu_ratio = statistics.median(run.cpu for run in record.runs) / statistics.median(run.cpu for run in ours.runs)
                ratios[record.name] = {**asdict(ratio), "disturbed": disturbed, "cpu": cpu_ratio}
        targets = []
        for target in row.targets:
            # ratios hold other / ours: how many times faster ours is.
            found = ratios.get(target.other)
            met = None
            if target.kind == "within":
                figure = next(person["figure"] for person in people if person["name"] == target.other)
                met = figure["median"] <= target.bound if figure else None
            elif found:
                met = found["median"] >= target.bound if target.kind == "at least" else 1 / found["median"] <= target.bound
            targets.append({"text": str(target), "other": target.other, "met": met})
        return {
            "row": row.name,
            "title": row.title,
            "unit": row.unit,
            "note": row.note,
            "clip": row.clip,
            "ours": row.ours.name,
            "participants": people,
            "faster_than": ratios,
            "targets": targets,
            "best_calibration": self._best_calibration,
            "pictures": len(row.times),
        }


def _ratio(other: list[Run], ours: list[Run]) -> tuple[Any, bool]:
    """other / ours over the rounds in which both ran undisturbed; over all rounds, and saying so, where those are fewer than five."""
    mine = {run.round: run for run in ours}
    pairs = [(run, mine[run.round]) for run in other if run.round in mine]
    good = [(a.seconds, b.seconds) for a, b in pairs if a.good and b.good]
    if len(good) >= 5:
        return paired_ratio(good), False
    return paired_ratio([(a.seconds, b.seconds) for a, b in pairs]), True


def _busy_seconds() -> float:
    """CPU seconds this machine has spent on anything."""
    with open("/proc/stat", encoding="ascii") as stat:
        fields = [int(field) for field in stat.readline().split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
