"""The machinery of the side-by-side benchmarks: what it computes, and that a wrong delivery never becomes a figure."""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest
from conftest import clip_folder

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from side_by_side import gates, reference, report, stats  # noqa: E402
from side_by_side.media import Studio  # noqa: E402
from side_by_side.rows import Rows  # noqa: E402
from side_by_side.run import Bench, Tools  # noqa: E402
from side_by_side.worker import Worker, WorkerError, request_line  # noqa: E402


def test_a_constant_ratio_has_an_interval_of_no_width():
    ratio = stats.paired_ratio([(2.0, 1.0), (4.0, 2.0), (1.0, 0.5)])
    assert (ratio.median, ratio.low, ratio.high, ratio.pairs) == (2.0, 2.0, 2.0, 3)


def test_the_interval_holds_the_ratio_behind_noise_and_pairs_cancel_a_common_slowdown():
    chance = random.Random(4)
    pairs = []
    for _ in range(30):
        slow = chance.uniform(1, 5)  # the machine, in this round
        pairs.append((1.5 * slow * chance.gauss(1, 0.02), slow * chance.gauss(1, 0.02)))
    ratio = stats.paired_ratio(pairs)
    assert ratio.low <= 1.5 <= ratio.high
    assert ratio.high - ratio.low < 0.06


def test_two_rounds_give_no_ratio():
    assert stats.paired_ratio([(2.0, 1.0), (2.0, 1.0)]) is None


def test_percentiles_are_linear_between_neighbours():
    assert stats.percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert stats.percentile([0.0, 10.0], 0.95) == pytest.approx(9.5)


def test_a_slow_calibration_or_a_busy_neighbour_disturbs_a_run():
    quiet = {"before": 1.0, "after": 1.02, "best": 1.0, "foreign": 0.0, "seconds": 1.0, "cores": 2}
    assert stats.undisturbed(**quiet)
    assert not stats.undisturbed(**{**quiet, "after": 1.06})
    assert not stats.undisturbed(**{**quiet, "foreign": 0.2})


def test_embeddings_pass_when_they_are_near_and_choose_the_same_label():
    labels = np.eye(4)[:3]
    wanted = np.array([[0.9, 0.1, 0.1, 0.3], [0.2, 0.8, 0.1, 0.3]])
    judge = gates.embeddings(wanted.tolist(), labels.tolist(), 0.99)
    assert judge((2 * wanted).reshape(-1).tolist()).passed, "length does not matter"
    assert not judge(wanted.reshape(-1)[:4].tolist()).passed, "a picture is missing"
    other = wanted.copy()
    other[1] = [0.8, 0.2, 0.1, 0.3]
    assert not judge(other.reshape(-1).tolist()).passed, "another picture"
    turned = np.array([[0.5, 0.49, 0, 0.7]])
    near = turned[:, [1, 0, 2, 3]]
    assert not gates.embeddings(turned.tolist(), labels.tolist(), 0.99)(near.reshape(-1).tolist()).passed, "near, and another label"


def test_requests_are_one_line_and_refuse_what_would_break_it():
    assert (
        request_line("first", {"file": "a.ts", "at": [1.5, 2.0], "threads": 2})
        == "first\tfile=a.ts\tat=1.500000000,2.000000000\tthreads=2\n"
    )
    with pytest.raises(ValueError, match="file holds a tab"):
        request_line("first", {"file": "a\tb"})


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("print('hello')", "not a line of JSON"),
        ("""print('{"error": "no such film"}')""", "first: no such film"),
        ("raise SystemExit(3)", "ended"),
    ],
)
def test_a_participant_that_fails_is_an_error_that_says_so(tmp_path, program, message):
    worker = Worker([sys.executable, "-c", f"input()\n{program}"], os.sched_getaffinity(0), tmp_path / "log")
    with pytest.raises(WorkerError, match=message):
        worker.ask("first", {})
    worker.close()


def test_the_times_gate_names_the_first_wrong_picture():
    assert gates.times_agree([1.0, 2.0], [1.0, 2.0]).passed
    assert not gates.times_agree([2.0, 1.0], [1.0, 2.0]).passed
    assert gates.times_agree([2.0, 1.0], [1.0, 2.0], ordered=False).passed
    assert gates.times_agree([3.4667], [1.4667]).text == "picture 0 is of 3.4667 s instead of 1.4667 s"
    assert gates.times_agree([1.0], [1.0, 2.0]).text == "1 pictures instead of 2"


def test_the_exact_path_keeps_flat_colours_and_straight_ramps():
    planes = np.concatenate([np.full(16 * 16, 126), np.full(2 * 8 * 8, 128)]).astype(np.uint8).reshape(24, 16)
    assert reference.rgb_of(planes) == pytest.approx((126 - 16) * 255 / 219)
    ramp = np.tile(np.arange(64.0), (1, 64, 1))
    small = reference.resize(ramp, 16, 16, reference.cubic, 2.0)[0]
    assert small[8, 3:13] == pytest.approx(np.arange(3, 13) * 4 + 1.5)  # the middle of four columns each


def row_of(gate: bool, met: bool | None) -> dict:
    figure = {"median": 0.02, "p95": 0.03, "min": 0.01, "cpu": 0.02, "good": 9, "runs": 9, "disturbed": False}
    return {
        "row": "D1",
        "title": "first picture",
        "unit": "ms",
        "ours": "Vidloom C++",
        "participants": [
            {
                "name": "Vidloom C++",
                "role": "ours",
                "note": "",
                "gate": {"passed": True, "text": "md5"},
                "figure": figure,
                "peak_rss_mb": 9.0,
            },
            {"name": "limit", "role": "limit", "note": "", "gate": {"passed": True, "text": "md5"}, "figure": figure, "peak_rss_mb": 9.0},
            {
                "name": "peer",
                "role": "peer",
                "note": "",
                "gate": {"passed": gate, "text": "picture 0 is of 3 s"},
                "figure": figure if gate else None,
                "peak_rss_mb": 9.0,
            },
        ],
        "faster_than": {"limit": {"median": 1.0, "low": 0.9, "high": 1.1, "pairs": 9, "disturbed": False, "cpu": 1.0}},
        "targets": [{"text": "at most the limit", "other": "limit", "met": met}],
    }


def test_a_void_participant_is_never_the_best_peer_and_says_why():
    assert "peer 20.00 ms" not in report.table([row_of(False, True)])
    assert "| peer | void |" in report.everybody([row_of(False, True)])
    assert "picture 0 is of 3 s" in report.everybody([row_of(False, True)])
    assert "peer 20 ms" in report.table([row_of(True, True)])
    assert "**missed**" in report.table([row_of(True, False)])


def test_memory_is_shown_as_memory_and_whole_processes_in_seconds():
    row = row_of(True, True)
    row["unit"] = "MB"
    row["participants"][0]["figure"] = {**row["participants"][0]["figure"], "median": 419.95, "p95": 420, "min": 419}
    table = report.table([row])
    assert "| 420 MB |" in table and " ms" not in table and "CPU" not in table.splitlines()[2]
    assert report.amount(0.2742, "s") == "0.27 s"


def test_a_whole_process_is_judged_by_the_embedding_it_prints(tmp_path):
    (tmp_path / "expected.json").write_text(json.dumps({"segment": [0.6, 0.8]}))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    worker = Worker([sys.executable, "-m", "side_by_side.peers.processes"], os.sched_getaffinity(0), tmp_path / "log", environment)
    frame = {"type": "frame", "media_time": 1.5, "analyses": {"brands": {"embedding": [3, 4]}}}
    lines = [json.dumps({"type": "start", "analyses": {"brands": {}}}), json.dumps(frame)]
    for program, expected in (("\n".join(lines), [1.5]), (json.dumps({"time": 2.5, "embedding": [0.6, 0.8]}), [2.5])):
        command = json.dumps([sys.executable, "-c", f"print({program!r})"])
        answer = worker.ask("cold", {"command": command, "expected": tmp_path / "expected.json"})
        assert answer["times"] == expected and answer["values"] == pytest.approx([1.0]) and answer["seconds"] > 0
    with pytest.raises(WorkerError, match="no such model"):
        worker.ask("cold", {"command": json.dumps([sys.executable, "-c", "raise SystemExit('no such model')"]), "expected": "x"})
    worker.close()


def test_the_document_changes_between_its_markers_only():
    document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.insert(document, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match="needs one line"):
        report.insert("no markers", "new")


def test_a_row_runs_and_voids_who_delivers_the_wrong_pictures(tmp_path):
    programs = pathlib.Path(os.environ.get("VIDLOOM_COMMAND", ROOT / "build/bin/vidloom")).parent
    if not (programs / "vidloom_bench_limits").exists():
        pytest.skip("the programs of the benchmarks are not built: cmake --build build --target vidloom_bench_ours vidloom_bench_limits")
    tools = Tools(
        programs / "vidloom_bench_ours",
        programs / "vidloom_bench_limits",
        pathlib.Path(sys.executable),
        pathlib.Path(sys.executable),
        tmp_path,
        ROOT / "benchmarks",
    )
    bench = Bench(tools, tmp_path / "out", os.sched_getaffinity(0), budget=0)
    row = Rows(Studio(clip_folder() / "vtest.avi", tmp_path)).make("smoke")
    row.rounds = 3
    result = json.loads(json.dumps(bench.row(row)))

    ours, limit, wrong = result["participants"]
    assert ours["gate"]["passed"], ours["gate"]
    assert "md5 of 180 pictures" in ours["gate"]["text"]
    assert [run["round"] for run in ours["runs"]] == [0, 1, 2]
    assert all(run["seconds"] > 0 and run["cpu"] > 0 for run in ours["runs"])
    assert ours["peak_rss_mb"] > 1
    assert limit["figure"]["runs"] == 3
    assert result["faster_than"]["libavcodec"]["pairs"] == 3
    assert [target["met"] for target in result["targets"]] == [True, True]
    assert result["targets"][1]["text"] == "Vidloom C++ within 3600 s"
    assert wrong["figure"] is None
    assert wrong["gate"] == {"passed": False, "text": "6 pictures instead of 180"}
    assert wrong["runs"] == []
    table = report.everybody([result])
    assert "| smoke | keyframes only (must be void) | void |" in table


def test_the_command_lists_its_rows():
    run = subprocess.run(
        [sys.executable, "-m", "side_by_side", "--list", "--film", str(clip_folder() / "vtest.avi")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    names = run.stdout.split()
    assert {"D1", "D2", "D4", "D9", "P1", "P2", "P3", "S0"} <= set(names)
    assert "smoke" not in names
