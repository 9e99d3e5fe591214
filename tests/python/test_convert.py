"""`vidloom convert`: each format is read by somebody else's reader and compared with the records it is made of."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import signal
import struct
import subprocess
import termios
from pathlib import Path

import numpy as np
import pytest
from conftest import clip_folder

import vidloom as vl

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = Path(os.environ.get("VIDLOOM_COMMAND", REPOSITORY / "build/bin/vidloom"))
if not COMMAND.exists():
    pytest.skip(f"{COMMAND} is not built; set VIDLOOM_COMMAND", allow_module_level=True)


def vidloom(*arguments, **options) -> subprocess.CompletedProcess:
    options.setdefault("text", True)
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, timeout=300, check=False, **options)


def converted(results: Path, form: str, *arguments) -> str:
    run = vidloom("convert", results, "--to", form, *arguments, text=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode()


def frames_of(results: Path) -> list[dict]:
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return [line for line in lines if line["type"] == "frame"]


def boxes_of(frames: list[dict]):
    """(frame, analysis, detection) in the order of the file."""
    for frame in frames:
        for name, answer in frame["analyses"].items():
            for detection in answer.get("detections", []):
                yield frame, name, detection


def frame_record(media_time: float, analyses: dict, *, stream: str = "s", epoch: int = 0, sequence: int | None = None) -> dict:
    """A record as the schema has it, with what the tests do not care about filled in."""
    record = {"schema": "vidloom/result/v1", "type": "frame", "stream": stream, "epoch": epoch}
    record |= {"sequence": round(media_time * 10) if sequence is None else sequence, "pts": round(media_time * 10), "time_base": [1, 10]}
    record |= {"media_time": media_time, "captured_at": None, "clock": "none", "analyzed_at": "2026-11-21T00:00:00.000000Z"}
    return record | {"frame_size": [200, 100], "health": "ok", "segment": None, "context": None, "analyses": analyses}


def box(name: str, xyxy: list[float], confidence: float | None = 0.5, **more) -> dict:
    share = [round(xyxy[i] / (200, 100)[i % 2], 4) for i in range(4)]
    given = {"class_id": 0, "class_name": name, "confidence": confidence, "raw_score": None, "xyxy": xyxy, "xyxyn": share}
    return given | {"tracker_id": None} | more


def answer(kind: str, **lists) -> dict:
    return {"kind": kind, "status": "ok", "trace": {"where": "local", "ran": 0.01}, **lists}


def failed(kind: str = "object", code: str = "deadline") -> dict:
    error = {"code": code, "message": "no answer", "retryable": True, "retry_after": None}
    return {"kind": kind, "status": "failed", "trace": {"where": "local", "ran": 0.01}, "error": error}


def written(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> Path:
    """People and motion of a real street, as the command writes them."""
    results = tmp_path_factory.mktemp("convert") / "street.jsonl"
    arguments = ("--detect", "people,motion", "--every", "0.5", "--end", "15", "--jsonl", results, "-q")
    run = vidloom("analyze", clip_folder() / "vtest.avi", *arguments)
    assert run.returncode == 0, run.stderr
    assert len(list(boxes_of(frames_of(results)))) > 100
    return results


# ── COCO ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_coco(path: Path):
    coco_api = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        return coco_api.COCO(str(path))


def test_coco_loads_in_pycocotools_with_every_frame_and_box(street, tmp_path):
    target = tmp_path / "street.json"
    assert converted(street, "coco", "-o", target) == ""
    coco = read_coco(target)
    frames = frames_of(street)
    assert len(coco.imgs) == len(frames)
    assert {c["name"] for c in coco.dataset["categories"]} == {"person", "motion"}
    for image, frame in zip(coco.dataset["images"], frames, strict=True):
        assert (image["width"], image["height"]) == tuple(frame["frame_size"])
        for key in ("stream", "epoch", "sequence", "pts", "time_base", "media_time"):
            assert image[key] == frame[key]
    expected = list(boxes_of(frames))
    assert len(coco.anns) == len(expected)
    for entry, (frame, analysis, detection) in zip(coco.dataset["annotations"], expected, strict=True):
        x1, y1, x2, y2 = detection["xyxy"]
        assert entry["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-9)
        assert entry["area"] == pytest.approx((x2 - x1) * (y2 - y1), abs=0.005)
        assert coco.cats[entry["category_id"]]["name"] == detection["class_name"]
        assert coco.imgs[entry["image_id"]]["sequence"] == frame["sequence"]
        assert entry.get("score") == detection["confidence"]
        assert entry["analysis"] == analysis
        assert entry["iscrowd"] == 0
    people = coco.getAnnIds(catIds=coco.getCatIds(catNms=["person"]))
    assert len(people) == sum(name == "people" for _, name, _ in expected) > 50


def test_coco_has_outlines_and_keeps_labels_and_failures_off_the_boxes(tmp_path):
    label = {"class_id": 1, "class_name": "Google", "confidence": 0.7, "raw_score": 0.2, "margin": 0.1}
    outlined = box("sign", [10, 10, 30, 20], text="EXIT", polygon=[10, 10, 30, 10, 30, 20])
    results = written(
        tmp_path / "r.jsonl",
        frame_record(0.0, {"text": answer("text", detections=[outlined]), "brands": answer("logo", labels=[label])}),
        frame_record(0.5, {"text": failed("text")}),
    )
    target = tmp_path / "out.json"
    converted(results, "coco", "-o", target)
    coco = read_coco(target)
    [entry] = coco.dataset["annotations"]
    assert entry["segmentation"] == [[10, 10, 30, 10, 30, 20]]
    assert entry["area"] == 100  # of the triangle, not of the box
    assert entry["text"] == "EXIT"
    assert coco.annToMask(entry).sum() == pytest.approx(100, abs=20)
    first, second = coco.dataset["images"]
    [stated] = first["labels"]
    assert coco.cats[stated["category_id"]]["name"] == "Google"
    assert (stated["analysis"], stated["score"]) == ("brands", 0.7)
    assert second["unanswered"] == {"text": "deadline"}
    assert "unanswered" not in first


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = "stream,media_time,pts,analysis,class_id,class_name,confidence,x_min,y_min,x_max,y_max,tracker_id".split(",")


def test_csv_has_a_row_per_detection(street):
    text = converted(street, "csv")
    assert text.replace("\r\n", "").count("\n") == 0, "RFC 4180 ends lines with CR LF"
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    expected = list(boxes_of(frames_of(street)))
    assert len(rows) == len(expected)
    for row, (frame, analysis, detection) in zip(rows, expected, strict=True):
        assert list(row) == COLUMNS
        assert (row["stream"], row["analysis"], row["class_name"]) == (frame["stream"], analysis, detection["class_name"])
        assert (float(row["media_time"]), int(row["pts"])) == (frame["media_time"], frame["pts"])
        assert [float(row[k]) for k in ("x_min", "y_min", "x_max", "y_max")] == detection["xyxy"]
        assert (float(row["confidence"]) if row["confidence"] else None) == detection["confidence"]
        assert int(row["class_id"]) == detection["class_id"]
        assert row["tracker_id"] == ""


def test_csv_quotes_names_and_lists_labels_without_a_box(tmp_path):
    name = 'a "quoted", name\nof two lines'
    label = {"class_id": 4, "class_name": name, "confidence": 0.7, "raw_score": 0.2, "margin": 0.1}
    analyses = {"brands": answer("logo", labels=[label], detections=[box(name, [1, 2, 3.5, 4], None, tracker_id=9)])}
    results = written(tmp_path / "r.jsonl", frame_record(0.5, analyses, stream="a,b"))
    boxed, whole = list(csv.DictReader(io.StringIO(converted(results, "csv"), newline=""), strict=True))
    assert boxed["stream"] == whole["stream"] == "a,b"
    assert boxed["class_name"] == whole["class_name"] == name
    assert [boxed[k] for k in ("x_min", "y_min", "x_max", "y_max", "tracker_id", "confidence")] == ["1", "2", "3.5", "4", "9", ""]
    assert [whole[k] for k in ("x_min", "y_min", "x_max", "y_max", "confidence", "class_id")] == ["", "", "", "", "0.7", "4"]


# ── WebVTT ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_webvtt(path: Path):
    return pytest.importorskip("webvtt").read(str(path))


def test_webvtt_says_for_each_frame_what_was_found(street, tmp_path):
    target = tmp_path / "street.vtt"
    converted(street, "webvtt", "-o", target)
    cues = read_webvtt(target).captions
    assert len(cues) > 20
    assert [cue.start_in_seconds for cue in cues] == sorted(cue.start_in_seconds for cue in cues)
    checked = 0
    for frame in frames_of(street):
        shown = [cue.text for cue in cues if to_ms(cue.start) <= round(frame["media_time"] * 1000) < to_ms(cue.end)]
        for name, word in (("people", "person"), ("motion", "motion")):
            count = len(frame["analyses"][name]["detections"])
            text = f"{name}: {word} x {count}" if count > 1 else f"{name}: {word}"
            assert (text in shown) == (count > 0)
            assert sum(line.startswith(f"{name}:") for line in shown) == (count > 0)
            checked += count > 0
    assert checked > 40


def to_ms(timestamp: str) -> int:
    hours, minutes, seconds = timestamp.split(":")
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000)


def test_webvtt_cues_run_on_while_the_answer_is_the_same(tmp_path):
    two, one, none = (answer("object", detections=[box("cat", [0, 0, 9, 9])] * n) for n in (2, 1, 0))
    results = written(
        tmp_path / "r.jsonl",
        frame_record(-0.2, {"a": two}),
        frame_record(0.5, {"a": two}),
        frame_record(1.0, {"b": none}),  # another rate: a goes on
        frame_record(1.5, {"a": one}),
        frame_record(2.0, {"a": none}),
        frame_record(3.0, {"a": failed()}),
        frame_record(3601.5, {"a": one}),
        frame_record(0.25, {"a": two}, epoch=1),
    )
    target = tmp_path / "r.vtt"
    converted(results, "webvtt", "-o", target)
    lines = target.read_text().split("\n\n")
    assert lines[0] == "WEBVTT"
    assert [line.strip() for line in lines[1:]] == [
        "00:00:00.000 --> 00:00:01.500\na: cat x 2",
        "00:00:00.250 --> 00:00:01.250\na: cat x 2",  # a single record of its epoch
        "00:00:01.500 --> 00:00:02.000\na: cat",
        "00:00:03.000 --> 01:00:01.500\na: not known (deadline)",
        "01:00:01.500 --> 02:00:00.000\na: cat",  # the last one holds as long as the one before it
    ]
    assert len(read_webvtt(target).captions) == 5


def test_webvtt_escapes_what_browsers_would_read_as_markup(tmp_path):
    label = {"class_id": 0, "class_name": "<b>R&B</b> --> \n\n x", "confidence": 0.7, "raw_score": 0.2, "margin": 0.1}
    results = written(tmp_path / "r.jsonl", frame_record(0.5, {"brands": answer("logo", labels=[label])}))
    text = converted(results, "webvtt")
    assert text == "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nbrands: &lt;b&gt;R&amp;B&lt;/b&gt; --&gt;    x\n"


# ── supervision and the predecessor ──────────────────────────────────────────────────────────────────────────────────


def test_supervision_json_is_what_its_own_sink_writes(street, tmp_path):
    sv = pytest.importorskip("supervision")
    target, peer = tmp_path / "ours.json", tmp_path / "theirs.json"
    converted(street, "supervision-json", "-o", target)
    with sv.JSONSink(str(peer)) as sink:
        for frame in frames_of(street):
            for name, outcome in frame["analyses"].items():
                found = outcome["detections"]
                scores = [d["confidence"] for d in found]
                detections = sv.Detections(
                    xyxy=np.array([d["xyxy"] for d in found], dtype=float).reshape(-1, 4),
                    class_id=np.array([d["class_id"] for d in found], dtype=int),
                    confidence=None if None in scores else np.array(scores, dtype=float),
                    data={
                        "class_name": np.array([d["class_name"] for d in found], dtype=str),
                        "raw_score": np.array([float(d["raw_score"]) for d in found]),
                    },
                )
                custom = {key: frame[key] for key in ("stream", "media_time", "pts", "sequence")} | {"analysis": name}
                sink.append(detections, custom_data=custom)
    ours, theirs = json.loads(target.read_text()), json.loads(peer.read_text())
    assert len(theirs) > 100
    assert ours == theirs
    assert [list(row) for row in ours] == [list(row) for row in theirs]
    assert len(target.read_text().splitlines()) == len(peer.read_text().splitlines()), "indented alike"


def test_supervision_json_of_nothing_is_an_empty_list_and_labels_are_told(tmp_path):
    label = {"class_id": 0, "class_name": "Nike", "confidence": 0.7, "raw_score": 0.2, "margin": 0.1}
    analyses = {"brands": answer("logo", labels=[label]), "people": failed()}
    results = written(tmp_path / "r.jsonl", frame_record(0.5, analyses))
    run = vidloom("convert", results, "--to", "supervision-json")
    assert (run.returncode, json.loads(run.stdout)) == (0, [])
    assert "brands: labels left out: 1;" in run.stderr
    assert "people: frames without an answer: 1;" in run.stderr


def test_legacy_is_to_legacy_of_each_record(tmp_path):
    results = tmp_path / "r.jsonl"
    analyses = ["people", "motion", "visual"]
    frames = list(vl.analyze(str(clip_folder() / "vtest.avi"), analyses, every=1, end=8, jsonl=str(results)))
    lines = [json.loads(line) for line in converted(results, "legacy").splitlines()]
    assert len(lines) == len(frames) == 8
    objects = 0
    for line, frame in zip(lines, frames, strict=True):
        expected = frame.to_legacy()
        assert line["visual"] == expected["visual"]
        assert len(line["objects"]) == len(expected["objects"])
        for ours, theirs in zip(line["objects"], expected["objects"], strict=True):
            objects += 1
            assert (ours["label"], ours["confidence"]) == (theirs["label"], theirs["confidence"])
            assert [ours["bbox"][k] for k in "xy"] == [theirs["bbox"][k] for k in "xy"]
            for side in ("width", "height"):  # records round both ends, to_legacy() their difference
                assert ours["bbox"][side] == pytest.approx(theirs["bbox"][side], abs=1.01e-4)
        assert set(line) == set(expected) == {"objects", "visual"}
    assert objects > 10


def test_legacy_gives_labels_the_whole_picture_and_lists_failures(tmp_path):
    labels = [{"class_id": i, "class_name": f"B{i}", "confidence": i / 10, "raw_score": 0.2, "margin": None} for i in range(7)]
    analyses = {"brands": answer("logo", labels=labels), "people": failed(code="transport")}
    results = written(tmp_path / "r.jsonl", frame_record(0.5, analyses))
    [line] = [json.loads(text) for text in converted(results, "legacy").splitlines()]
    assert [entry["label"] for entry in line["logos"]] == ["B6", "B5", "B4", "B3", "B2"]
    assert line["logos"][0] == {"label": "B6", "confidence": 0.6, "bbox": {"x": 0, "y": 0, "width": 1, "height": 1}}
    assert line["errors"] == {"people": "transport"}


# ── where it goes, and what is refused ───────────────────────────────────────────────────────────────────────────────


def test_streams_and_analyses_are_chosen_by_name(tmp_path):
    cat, dog = (answer("object", detections=[box(name, [0, 0, 9, 9])]) for name in ("cat", "dog"))
    records = [frame_record(t, {"a": cat, "b": dog}, stream=s) for t in (0.0, 0.5) for s in ("left", "right")]
    results = written(tmp_path / "r.jsonl", *records)
    rows = list(csv.DictReader(io.StringIO(converted(results, "csv"))))
    assert [(row["stream"], row["class_name"]) for row in rows] == [(s, c) for s in ("left", "right") for c in ("cat", "dog")] * 2
    for form in ("webvtt", "legacy"):
        run = vidloom("convert", results, "--to", form)
        assert run.returncode == 2
        assert "--stream left, --stream right" in run.stderr
    one = converted(results, "webvtt", "--stream", "right", "--analysis", "b")
    assert one == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nb: dog\n"
    for flag, wrong, known in (("--stream", "middle", "left, right"), ("--analysis", "c", "a, b")):
        run = vidloom("convert", results, "--to", "csv", flag, wrong)
        assert run.returncode == 2
        assert f"{flag} {wrong}" in run.stderr and known in run.stderr


def test_standard_input_and_reports_are_read_too(tmp_path, street):
    whole = converted(street, "csv")
    piped = vidloom("convert", "-", "--to", "csv", input=street.read_bytes(), text=False)
    assert piped.stdout.decode() == whole
    report = {"schema": "vidloom/report/v1", "stream": "street", "frames": frames_of(street)}
    run = vidloom("convert", written(tmp_path / "report.json", report), "--to", "csv", text=False)
    assert run.stdout.decode() == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting_for_more_and_what_was_read_is_written(tmp_path, street, number):
    """The frames' writer is at work still: its end of the pipe stays open."""
    target = tmp_path / "out.csv"
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & makes children ignore it
    command = [COMMAND, "convert", "-", "--to", "csv", "-o", target]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, inherited)
    process.stdin.write("".join(street.read_text().splitlines(keepends=True)[:8]))
    process.stdin.flush()
    waiting = struct.pack("i", 1)
    while struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, waiting))[0] > 0:  # until it has read all of it
        assert process.poll() is None, process.stderr.read()
        os.sched_yield()
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + number, process.stderr.read()
    process.stdin.close()
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert len(rows) == len(list(boxes_of(frames_of(street)[:7]))) > 10


def test_an_existing_output_is_refused_and_one_that_fails_is_not_begun(tmp_path, street):
    target = tmp_path / "out.csv"
    target.write_text("mine")
    run = vidloom("convert", street, "--to", "csv", "-o", target)
    assert (run.returncode, target.read_text()) == (5, "mine")
    assert "exists" in run.stderr and "-y" in run.stderr
    broken = tmp_path / "broken.jsonl"
    broken.write_text(street.read_text().replace('"media_time":5.0', '"media_time":"five"'))
    run = vidloom("convert", broken, "--to", "csv", "-o", target, "-y")
    assert (run.returncode, target.read_text()) == (3, "mine")
    converted(street, "csv", "-o", target, "--overwrite")
    assert target.read_text().startswith("stream,")
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    converted(street, "legacy", "-o", link, "-y", "--analysis", "people")
    assert link.is_symlink() and target.read_text().startswith("{")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jsonl", "link.csv", "out.csv"], "nothing is left behind"
    assert vidloom("convert", street, "--to", "csv", "-o", street, "-y").returncode == 2
    assert vidloom("convert", street, "--to", "csv", "-o", tmp_path / "none/out.csv").returncode == 5
    with open("/dev/full", "w") as full:
        run = subprocess.run([COMMAND, "convert", street, "--to", "csv"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (run.returncode, "No space left" in run.stderr) == (5, True)


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 3, "cannot open"),
        ("", 3, "is empty"),
        ("This is no results file.\n", 3, "is no results file"),
        ('{"schema": "else/v1"}\n', 3, "but of else/v1"),
        ("[]\n", 3, "is not of the schema vidloom/result/v1"),
        ("RIFF\x00\x01AVI", 3, "is no results file"),
        ("{", 3, "is no results file"),
    ],
)
def test_what_is_no_results_file_is_refused_with_a_sentence(tmp_path, content, code, message):
    results = tmp_path / "r.jsonl"
    if content is not None:
        results.write_text(content)
    run = vidloom("convert", results, "--to", "csv", "-o", tmp_path / "out.csv")
    assert (run.returncode, run.stdout) == (code, "")
    assert message in run.stderr and str(results) in run.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("media_time", None, "media_time: null stands where a number is needed"),
        ("analyses", [], "analyses: a list stands where an object is needed"),
        ("stream", 7, "stream: an integer (7)"),
        ("analyses", {"a": {"kind": "object", "status": "ok", "detections": [{"xyxy": [1, 2, 3]}]}}, "analyses.a: detections[0]: xyxy"),
        ("analyses", {"a": {"kind": "object", "status": "ok", "detections": [{}]}}, "xyxy"),
        ("analyses", {"a": {"status": "ok"}}, "kind"),
    ],
)
def test_a_record_that_is_wrong_is_named_by_line_and_field(tmp_path, key, value, message):
    good = frame_record(0.0, {})
    results = written(tmp_path / "r.jsonl", good, good | {key: value}, good)
    run = vidloom("convert", results, "--to", "csv")
    assert run.returncode == 3
    assert "r.jsonl, line 2: " in run.stderr and message in run.stderr


def test_a_torn_last_line_is_left_out_and_told(tmp_path, street):
    whole = street.read_text()
    lines = whole.splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_text("".join(lines[:11]) + lines[11][:100])
    before = written(tmp_path / "before.jsonl", *map(json.loads, lines[:11]))
    run = vidloom("convert", torn, "--to", "coco", "-o", tmp_path / "out.json")
    assert run.returncode == 3
    assert "breaks off after 100 bytes" in run.stderr and "the 10 frames before it" in run.stderr
    assert len(read_coco(tmp_path / "out.json").imgs) == 10
    assert (tmp_path / "out.json").read_text() == converted(before, "coco")
    torn.write_text("".join(lines[:5]) + lines[5][:100] + "\n" + lines[6])  # not the last one
    run = vidloom("convert", torn, "--to", "csv")
    assert run.returncode == 3 and "torn.jsonl, line 6" in run.stderr
    torn.write_text(whole.rstrip("\n"))  # whole, only the newline is missing
    assert converted(torn, "csv") == converted(street, "csv")


def test_usage_errors_name_the_nearest(street):
    for arguments, message in (
        (["--to", "webvt"], "did you mean webvtt?"),
        (["--to", "xml"], "coco, csv, webvtt, supervision-json, legacy"),
        ([], "--to is missing"),
        (["--too", "csv"], "did you mean --to?"),
        (["--to", "csv", "-o", ""], "empty"),
    ):
        run = vidloom("convert", street, *arguments)
        assert (run.returncode, run.stdout) == (2, "")
        assert message in run.stderr
