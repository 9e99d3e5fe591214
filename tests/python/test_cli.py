"""The command, as people and scripts use it: exit codes, messages, records, signals, full disks."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = Path(os.environ.get("VIDLOOM_COMMAND", REPOSITORY / "build/bin/vidloom"))


def skip_or_fail(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"in CI nothing is skipped: {reason}")
    pytest.skip(reason, allow_module_level=True)


if not COMMAND.exists():
    skip_or_fail(f"{COMMAND} is not built; set VIDLOOM_COMMAND")
if shutil.which("ffmpeg") is None:
    skip_or_fail("the ffmpeg command, which makes the test media, is not installed")

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("VIDLOOM_") or k == "VIDLOOM_COMPONENT_PATH"}


def vidloom(*arguments, command: Path = COMMAND, **options) -> subprocess.CompletedProcess:
    options.setdefault("env", ENVIRONMENT)
    return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False, **options)


def ffmpeg(*arguments) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True, timeout=300)


def records(text: str) -> list[dict]:
    """All lines as JSON; a torn one raises."""
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(vidloom("schema", name).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def clips_folder() -> Path | None:
    for folder in (
        os.environ.get("VIDLOOM_CLIPS"),
        "/usr/share/doc/opencv-doc/examples/data",
        REPOSITORY / "build/clips",
    ):
        if folder and (Path(folder) / "vtest.avi").exists():
            return Path(folder)
    return None


@pytest.fixture(scope="session")
def street() -> Path:
    folder = clips_folder()
    if folder is None:
        skip_or_fail("no vtest.avi; set VIDLOOM_CLIPS to a folder that holds opencv-doc's clips")
    return folder / "vtest.avi"


@pytest.fixture(scope="session")
def media(tmp_path_factory) -> Path:
    """clip.mp4 (4 s, 25 fps), clip.ts (timeline from 1.4 s on), and every kind of bad input."""
    folder = tmp_path_factory.mktemp("media")
    picture = "testsrc2=size=320x240:rate=25:duration=4"
    ffmpeg("-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", 25, folder / "clip.mp4")
    ffmpeg("-i", folder / "clip.mp4", "-c", "copy", folder / "clip.ts")
    ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", 1, folder / "picture.jpg")
    # Its clock of 33 bits begins again inside; a picture lasts 40 to 120 ms.
    ffmpeg("-i", folder / "clip.mp4", "-c", "copy", "-output_ts_offset", 95440, folder / "wraps.ts")
    uneven = ("-vf", "select=not(mod(n\\,3))", "-fps_mode", "vfr", "-c:v", "libx265", "-x265-params", "log-level=none")
    ffmpeg("-f", "lavfi", "-i", picture, *uneven, folder / "variable.mkv")
    ffmpeg("-f", "lavfi", "-i", "color=size=16384x8704", "-frames:v", 1, folder / "bomb.png")
    whole = (folder / "clip.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])  # its index stands at the end
    stream = (folder / "clip.ts").read_bytes()
    (folder / "half.ts").write_bytes(stream[: len(stream) // 2])
    photo = (folder / "picture.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(photo[: len(photo) // 2])
    (folder / "google.com").write_bytes(photo)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("This is no video.\n" * 100)
    (folder / "playlist.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{folder}/clip.ts\n#EXT-X-ENDLIST\n")
    (folder / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{folder}/clip.mp4'\n")
    return folder


# ── what it says about itself ────────────────────────────────────────────────────────────────────────────────────────


def test_version_and_help_go_to_standard_output():
    assert vidloom("--version").stdout.startswith("vidloom 0.")
    overview = vidloom("--help")
    assert overview.returncode == 0
    for name in ("analyze", "convert", "evaluate", "calibrate", "probe", "adapters", "doctor", "schema"):
        assert name in overview.stdout
        text = vidloom(name, "--help")
        assert text.returncode == 0
        assert f"vidloom {name}" in text.stdout
        assert f"\n  vidloom {name} " in text.stdout, "an example"
    assert "--min-confidence" in vidloom("analyze", "-h").stdout


def test_without_a_command_the_overview_is_a_usage_error():
    result = vidloom()
    assert result.returncode == 2
    assert result.stdout == ""
    assert "analyze" in result.stderr


@pytest.mark.parametrize("name", "serve worker watch verify-model replay bench".split())
def test_reserved_commands_say_what_is_missing(name):
    result = vidloom(name, "x")
    assert result.returncode == 4
    assert result.stderr.startswith(f"vidloom: vidloom {name}: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyse", "x.mp4"], "did you mean analyze?"),
        (["analyze", "x.mp4", "--detcet", "people"], "did you mean --detect?"),
        (["analyze", "x.mp4", "--detect"], "--detect needs a value"),
        (["analyze", "x.mp4", "--jsonl", "--overwrite", "--detect", "visual"], "--jsonl needs a value"),
        (["analyze", "x.mp4", "--overwrite=yes", "--detect", "visual"], "--overwrite takes no value"),
        (["analyze", "--detect", "visual"], "something is missing"),
        (["analyze", "x.mp4"], "--detect people"),
        (["analyze", "x.mp4", "--detect", "poeple"], "people"),
        (["analyze", "x.mp4", "--detect", "visual,visual"], "twice"),
        (["analyze", "x.mp4", "--detect", "visual", "--set", "visual.colours=5"], "colors"),
        (["analyze", "x.mp4", "--detect", "visual", "--set", "visul.colors=5"], "did you mean visual?"),
        (["analyze", "x.mp4", "--detect", "visual", "--set", "visual.colors=99"], "colors"),
        (["analyze", "x.mp4", "--detect", "visual", "--set", "colors"], "NAME.OPTION=VALUE"),
        (["analyze", "x.mp4", "--detect", "visual", "--every", "-1"], "--every"),
        (["analyze", "x.mp4", "--detect", "visual", "--every", "soon"], "--every"),
        (["analyze", "x.mp4", "--detect", "visual", "--every", "1", "--every", "2"], "given twice"),
        (["analyze", "x.mp4", "--detect", "visual", "--model", "m.onnx"], "none of the analyses visual"),
        (["analyze", "x.mp4", "--detect", "visual,motion", "--min-confidence", "0.5"], "--set visual.min_confidence=0.5"),
        (["analyze", "x.mp4", "--detect", "visual", "--min-confidence", "7"], "min_confidence"),
        (["analyze", "x.mp4", "--detect", "visual", "--mode", "dead"], "auto, live or complete"),
        (["analyze", "x.mp4", "--detect", "visual", "--device", "gpu"], "cuda:N"),
        (["analyze", "x.mp4", "--detect", "visual", "--where", "moon"], "--where moon"),
        (["analyze", "x.mp4", "--detect", "visual", "--start", "5", "--end", "4"], "--end 4"),
        (["analyze", "x.mp4", "--detect", "visual", "--max-frames", "0"], "--max-frames 0"),
        (["analyze", "x.mp4", "--detect", "visual", "--context", "no-equals"], "KEY=VALUE"),
        (["analyze", "x.mp4", "--detect", "visual", "--name", "a", "--name", "b"], "2 times for 1 sources"),
        (["analyze", "x.mp4", "y.mp4", "--detect", "visual", "--name", "a", "--name", "a"], "own name"),
        (["analyze", "x.mp4", "--detect", "visual", "-y", "--append"], "use one of them"),
        (["analyze", "x.mp4", "--detect", "visual", "--progress", "--no-progress"], "use one of them"),
        (["analyze", "x.mp4", "--detect", "visual", "--jsonl", "o.jsonl", "--sink", "jsonl:./o.jsonl"], "same file"),
        (["analyze", "x.mp4", "--detect", "visual", "--jsonl", "-", "--sink", "lines"], "same standard output"),
        (["analyze", "x.mp4", "--detect", "visual", "--jsonl", "x.mp4", "-y"], "its own source"),
        (["analyze", "x.mp4", "--detect", "visual", "--sink", "jsonl"], "jsonl:FILE"),
        (["analyze", "x.mp4", "--detect", "visual", "--log-level", "loud"], "loud"),
        (["schema", "reslut"], "did you mean result?"),
        (["adapters", "poeple"], "people"),
        (["doctor", "--require", "opencb"], "did you mean opencv?"),
        (["probe"], "something is missing"),
        (["probe", "a", "b"], "one argument too many"),
    ],
)
def test_usage_errors_exit_2_name_the_fix_and_leave_nothing(tmp_path, arguments, message):
    result = vidloom(*arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("vidloom: ")
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--detect", "visual", "--mode", "live"],
        ["--detect", "visual", "--sink", "hls:out/live"],
        ["--detect", "visual", "--where", "lan:gpu1:8700"],
        ["--detect", "visual", "--where", "cloud"],
        ["--detect", "clip", "--model", "m", "--labels", "a,b"],
        ["--detect", "visual", "--plugin", "mine"],
    ],
)
def test_what_is_not_in_this_version_exits_4_before_any_output_is_made(tmp_path, media, arguments):
    result = vidloom("analyze", media / "clip.mp4", "--jsonl", "out.jsonl", *arguments, cwd=tmp_path)
    assert result.returncode == 4, result.stderr
    assert len(result.stderr) > 30
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_works_and_requires():
    result = vidloom("doctor")
    assert result.returncode == 0
    assert "libvidloom_opencv" in result.stdout or "static" in result.stdout or "opencv" in result.stdout
    facts = json.loads(vidloom("doctor", "--json").stdout)
    assert facts["components"]["ffmpeg"]["loaded"] is True
    assert facts["components"]["ffmpeg"]["detail"]
    assert facts["adapters"]["people"] is True
    assert facts["threads"] >= 1
    assert vidloom("doctor", "--require", "ffmpeg,people,visual").returncode == 0
    missing = vidloom("doctor", "--require", "ffmpeg,yolo", "--json")
    assert missing.returncode == 1
    assert json.loads(missing.stdout)["missing"] == ["yolo"]
    assert "yolo" in missing.stderr


def test_adapters_lists_options_with_defaults():
    table = vidloom("adapters").stdout
    for name in ("people", "motion", "visual", "logos", "clip"):
        assert f"\n{name} " in table
    text = vidloom("adapters", "people").stdout
    assert "scale" in text and "1.05" in text and "vidloom analyze" in text and "raw_score" in text
    everything = json.loads(vidloom("adapters", "--json").stdout)
    assert everything["people"]["options"]["stride"]["default"] == 8
    assert everything["visual"]["options"]["colors"]["default"] == 3
    assert json.loads(vidloom("adapters", "visual", "--json").stdout) == everything["visual"]


def test_a_closed_pipe_is_a_quiet_end(media):
    line = f"{COMMAND} analyze {media}/clip.mp4 --detect visual --jsonl - -q | head -n 1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False)
    start, status = result.stdout.splitlines()
    assert json.loads(start)["type"] == "start"
    assert status == "0"
    assert result.stderr == ""


def test_a_closed_pipe_counts_what_was_read(media):
    line = f"{COMMAND} analyze {media}/clip.mp4 --detect visual | head -n 1"
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False)
    frames, answers = result.stderr.split(" frames, ")[0], result.stderr.split(" ok")[0].split()[-1]
    assert int(frames) >= int(answers) > 0, result.stderr


def test_plugins_of_the_environment_are_not_passed_over_in_silence():
    result = vidloom("analyze", "test:frames=2", "--detect", "visual", env={**ENVIRONMENT, "VIDLOOM_PLUGINS": "mine"})
    assert result.returncode == 0 and "VIDLOOM_PLUGINS=mine is passed over" in result.stderr


def test_the_config_schema_knows_the_adapters_options():
    schema = validator("analyses")

    def analysis(**options):
        return {"version": 1, "analyses": {"a": options}}

    assert schema.is_valid(analysis(adapter="people", every="500ms", scale=1.1, min_confidence={"*": 0.5, "person": 0.7}))
    assert schema.is_valid(analysis(adapter="mine", anything=[1]))
    assert schema.is_valid(analysis(adapter="visual", every="1m", tolerance="20ns"))
    assert not schema.is_valid(analysis(adapter="visual", evry=1))
    assert not schema.is_valid(analysis(adapter="people", scale="big"))
    assert not schema.is_valid(analysis(adapter="visual", colors=99))
    assert not schema.is_valid(analysis(adapter="people", min_confidence=2))
    assert not schema.is_valid(analysis(adapter="people", where={"type": "lan"}))
    assert not schema.is_valid(analysis(adapter="clip", where={"type": "lan", "hosts": ["a:1"], "token": "secret"}))


# ── analyze ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_three_analyses_on_the_half_second_grid(street):
    result = vidloom(
        "analyze", street, "--detect", "people,motion,visual", "--every", "0.5", "--set", "people.largest=384", "--jsonl", "-", "-q"
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = records(result.stdout)
    schema = validator("result")
    for line in lines:
        schema.validate(line)
    assert [line["type"] for line in lines] == ["start"] + ["frame"] * 159 + ["end"]
    frames = lines[1:-1]
    assert [frame["media_time"] for frame in frames] == [i * 0.5 for i in range(159)]
    assert all(set(frame["analyses"]) == {"people", "motion", "visual"} for frame in frames)
    assert sum(len(frame["analyses"]["people"]["detections"]) for frame in frames) > 20
    assert lines[0]["stream"] == "vtest"
    assert lines[0]["analyses"]["people"]["adapter"] == "people"
    assert lines[-1]["reason"] == "end_of_file"
    assert lines[-1]["frames"]["decoded"] == 795
    assert lines[-1]["counts"]["people"] == {"ok": 159}


def test_without_an_output_each_result_is_a_readable_line(media):
    result = vidloom("analyze", media / "clip.mp4", "--detect", "visual", "--every", "1")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("   1.00 s  visual: ")
    assert "brightness 0." in lines[1]
    assert "100 frames" in result.stderr
    assert "4 ok" in result.stderr


def test_flags_reach_the_analyses(media, tmp_path):
    config = tmp_path / "analyses.json"
    config.write_text(
        '{"version": 1, // comment\n "analyses": {"look": {"adapter": "visual", "every": 2}, "other": {"adapter": "visual", "every": 1}}}'
    )
    result = vidloom(
        "analyze",
        media / "clip.mp4",
        f"--config={config}",
        "--detect",
        "look",
        "--set",
        "look.colors=5",
        "--name",
        "gate",
        "--context",
        "session_id=s-17",
        "--context",
        "n=2",
        "--jsonl",
        "-",
        "-q",
    )
    assert result.returncode == 0, result.stderr
    lines = records(result.stdout)
    frames = [line for line in lines if line["type"] == "frame"]
    assert [frame["media_time"] for frame in frames] == [0, 2]
    assert {line["stream"] for line in lines} == {"gate"}
    assert frames[0]["context"] == {"session_id": "s-17", "n": "2"}
    assert list(frames[0]["analyses"]) == ["look"]
    assert len(frames[0]["analyses"]["look"]["attributes"]["dominant_colors"]) == 5
    validator("analyses").validate({"version": 1, "analyses": {"look": {"adapter": "visual", "every": 2}}})

    by_environment = vidloom(
        "analyze", media / "clip.mp4", "--jsonl", "-", "-q", "--every", "500ms", env=ENVIRONMENT | {"VIDLOOM_CONFIG": str(config)}
    )
    frames = [line for line in records(by_environment.stdout) if line["type"] == "frame"]
    assert len(frames) == 8
    assert list(frames[0]["analyses"]) == ["look", "other"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 2, "analyses": {}}', "version"),
        ('{"version": 1, "analises": {}}', "analyses"),
        ('{"version": 1, "analyses": {"v": {"adapter": "visual", "evry": 1}}}', "every"),
        ('{"version": 1, "analyses": {"v": 5}}', "analyses.v"),
        ('{"version": 1,', "line"),
    ],
)
def test_a_bad_config_file_exits_2_and_names_the_field(media, tmp_path, text, message):
    config = tmp_path / "analyses.json"
    config.write_text(text)
    result = vidloom("analyze", media / "clip.mp4", "--config", config)
    assert result.returncode == 2
    assert message in result.stderr


def test_start_end_duration_and_max_frames_cut(media):
    def times(source, *flags):
        result = vidloom("analyze", media / source, "--detect", "visual", "--jsonl", "-", "-q", *flags)
        assert result.returncode == 0, result.stderr
        return [line["media_time"] for line in records(result.stdout) if line["type"] == "frame"]

    assert times("clip.mp4", "--start", "1", "--end", "2") == pytest.approx([1 + i / 25 for i in range(25)])
    assert times("clip.mp4", "--start", "1", "--duration", "500ms") == pytest.approx([1 + i / 25 for i in range(13)])
    assert times("clip.mp4", "--max-frames", "7") == pytest.approx([i / 25 for i in range(7)])
    first = times("clip.ts")[0]
    assert first > 1, "a timeline is not rebased"
    assert times("clip.ts", "--duration", "1") == pytest.approx([first + i / 25 for i in range(25)], abs=1e-4)


def test_several_sources_are_several_streams_of_one_file(media, tmp_path):
    twin = tmp_path / "clip.mp4"
    shutil.copy(media / "clip.mp4", twin)
    out = tmp_path / "out.jsonl"
    result = vidloom("analyze", media / "clip.mp4", twin, media / "clip.ts", "--detect", "visual", "--every", "1", "--jsonl", out)
    assert result.returncode == 0, result.stderr
    lines = records(out.read_text())
    streams = {line["stream"] for line in lines}
    assert len(streams) == 3
    for stream in streams:
        kinds = [line["type"] for line in lines if line["stream"] == stream]
        assert kinds == ["start"] + ["frame"] * kinds.count("frame") + ["end"]
        assert kinds.count("frame") >= 4

    named = vidloom("analyze", media / "clip.mp4", twin, "--name", "a", "--name", "b", "--detect", "visual", "--every", "2")
    assert sorted({line.split()[0] for line in named.stdout.splitlines()}) == ["a", "b"]


def test_one_bad_source_does_not_stop_the_others(media, tmp_path):
    out = tmp_path / "out.jsonl"
    result = vidloom("analyze", media / "text.mp4", media / "clip.mp4", "--detect", "visual", "--every", "1", "--jsonl", out)
    assert result.returncode == 3
    assert [line["type"] for line in records(out.read_text()) if line["stream"] == "clip"] == ["start"] + ["frame"] * 4 + ["end"]


def test_existing_outputs_are_refused_replaced_or_continued(media, tmp_path):
    out = tmp_path / "out.jsonl"
    arguments = ["analyze", media / "clip.mp4", "--detect", "visual", "--every", "1", "--jsonl", out, "-q"]
    assert vidloom(*arguments).returncode == 0
    once = out.read_text()
    refused = vidloom(*arguments)
    assert refused.returncode == 5
    assert "--overwrite" in refused.stderr or "-y" in refused.stderr
    assert out.read_text() == once
    assert vidloom(*arguments, "-y").returncode == 0
    assert len(records(out.read_text())) == len(records(once))
    with out.open("a") as file:
        file.write('{"schema": "vidloom/result/v1", "type": "fra')  # as a killed run leaves it
    assert vidloom(*arguments, "--append").returncode == 0
    assert len(records(out.read_text())) == 2 * len(records(once))


def test_a_failing_source_leaves_no_empty_output_and_keeps_the_old_one(media, tmp_path):
    out = tmp_path / "out.jsonl"
    assert vidloom("analyze", tmp_path / "missing.mp4", "--detect", "visual", "--jsonl", out).returncode == 3
    assert not out.exists()
    out.write_text("{}\n")
    assert vidloom("analyze", tmp_path / "missing.mp4", "--detect", "visual", "--jsonl", out, "-y").returncode == 3
    assert out.read_text() == "{}\n"


def test_failed_answers_are_records_and_exit_1(street):
    result = vidloom("analyze", street, "--detect", "people,visual", "--max-frames", "3", "--set", "people.deadline=1ms", "--jsonl", "-")
    assert result.returncode == 1, result.stderr
    frames = [line for line in records(result.stdout) if line["type"] == "frame"]
    assert len(frames) == 3
    for frame in frames:
        validator("result").validate(frame)
        people = frame["analyses"]["people"]
        assert people["status"] == "failed"
        assert people["error"]["code"] == "deadline"
        assert people["error"]["retryable"] is True
        assert "detections" not in people
        assert frame["analyses"]["visual"]["status"] == "ok"
    assert "people failed 3 of 3 (deadline): " in result.stderr


def test_standard_output_that_is_closed_gets_no_data_into_another_file(media, tmp_path):
    line = f"{COMMAND} analyze {media}/clip.mp4 --detect visual --every 1 --sink lines --sink jsonl:{tmp_path}/out.jsonl >&-"
    assert subprocess.run(["bash", "-c", line], env=ENVIRONMENT, check=False, stderr=subprocess.PIPE).returncode == 5
    out = tmp_path / "out.jsonl"
    if out.exists():
        assert all(line["schema"] == "vidloom/result/v1" for line in records(out.read_text()))


def test_names_that_are_no_text_are_still_records(media, tmp_path):
    odd = os.path.join(os.fsencode(tmp_path), b"gate\xff\n.mp4")
    shutil.copy(media / "clip.mp4", odd)
    result = subprocess.run(
        [COMMAND, "analyze", odd, "--detect", "visual", "--every", "2", "--jsonl", "-", "-q"],
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert [line["type"] for line in records(result.stdout.decode())] == ["start", "frame", "frame", "end"]


def test_progress_reports_on_standard_error(media):
    result = vidloom("analyze", media / "clip.mp4", "--detect", "visual", "--sink", "null", "--progress")
    assert result.returncode == 0
    assert result.stdout == ""
    assert " x real time" in result.stderr


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["missing.mp4", "empty.mp4", "text.mp4", "half.mp4", "playlist.mp4", "concat.mp4", "bomb.png", "half.jpg"])
def test_what_gives_no_picture_exits_3(media, tmp_path, name):
    for command in (["analyze", media / name, "--detect", "visual", "--jsonl", tmp_path / "out.jsonl"], ["probe", media / name]):
        result = vidloom(*command)
        assert result.returncode == 3, (command, result.stdout, result.stderr)
        assert result.stdout == ""
        assert "vidloom: " in result.stderr
        assert name in result.stderr
    if (tmp_path / "out.jsonl").exists():
        kinds = [line["type"] for line in records((tmp_path / "out.jsonl").read_text())]
        assert "frame" not in kinds


def test_a_cut_off_segment_is_analysed_as_far_as_it_goes(media):
    result = vidloom("analyze", media / "half.ts", "--detect", "visual", "--jsonl", "-", "-q")
    assert result.returncode in (0, 1)
    frames = [line for line in records(result.stdout) if line["type"] == "frame"]
    assert 20 < len(frames) < 100


def test_a_picture_named_like_a_host_is_a_file(media):
    result = vidloom("analyze", "google.com", "--detect", "visual", "--jsonl", "-", "-q", cwd=media)
    assert result.returncode == 0, result.stderr
    assert [line["type"] for line in records(result.stdout)] == ["start", "frame", "end"]
    assert vidloom("probe", "google.com", cwd=media).returncode == 0


# ── outputs that cannot be written ───────────────────────────────────────────────────────────────────────────────────


def test_unwritable_outputs_exit_5_before_the_work(media, tmp_path):
    for path in ("/proc/out.jsonl", tmp_path / "no/folder/out.jsonl", media / "clip.ts/out.jsonl", tmp_path):
        result = vidloom("analyze", media / "clip.mp4", "--detect", "visual", "--jsonl", path, "-y")
        assert result.returncode == 5, (path, result.stderr)
        assert str(path) in result.stderr


def test_a_full_device_exits_5(media):
    assert vidloom("analyze", media / "clip.mp4", "--detect", "visual", "--jsonl", "/dev/full").returncode == 5
    lines = subprocess.run(["bash", "-c", f"{COMMAND} analyze {media}/clip.mp4 --detect visual > /dev/full"], env=ENVIRONMENT, check=False)
    assert lines.returncode == 5
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [COMMAND, "probe", media / "clip.mp4"], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False
        )
    assert result.returncode == 5
    assert "No space left" in result.stderr


def test_a_full_disk_leaves_whole_lines_and_exits_5(street, tmp_path):
    if os.geteuid() != 0:
        skip_or_fail("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        skip_or_fail(f"this machine does not allow mounts: {mounted.stderr.strip()}")
    try:
        out = disk / "out.jsonl"
        result = vidloom("analyze", street, "--detect", "visual", "--jsonl", out)
        assert result.returncode == 5, result.stderr
        assert "No space left" in result.stderr
        lines = records(out.read_text())
        assert len(lines) > 100
        assert lines[0]["type"] == "start"
    finally:
        subprocess.run(["umount", disk], check=True)


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def started(out: Path, *extra, source: Path) -> subprocess.Popen:
    """A run that has written its first line."""
    process = subprocess.Popen(
        [COMMAND, "analyze", source, "--detect", "visual,motion", "--jsonl", out, *extra],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    deadline = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size > 0):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return process


def test_an_interrupt_stops_all_streams(street, media, tmp_path):
    out = tmp_path / "out.jsonl"
    process = started(out, street, "--name", "a", "--name", "b", source=street)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    lines = records(out.read_text())
    for name in {line["stream"] for line in lines}:
        kinds = [line["type"] for line in lines if line["stream"] == name]
        assert kinds == ["start"] + ["frame"] * (len(kinds) - 2) + ["end"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_completes_its_outputs_at_any_moment(street, tmp_path, number, code):
    moments = random.Random(20261121)
    for attempt in range(10):
        out = tmp_path / f"{attempt}.jsonl"
        process = started(out, source=street)
        time.sleep(moments.uniform(0, 0.4))
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        lines = records(out.read_text())
        assert process.returncode == code, errors
        assert lines[-1]["type"] == "end"
        assert lines[-1]["reason"] != "end_of_file"
        assert len(lines) < 797
        assert "interrupted" in errors


def test_the_second_interrupt_ends_it_at_once(media, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # nobody reads it: the first write beyond its buffer blocks
    process = subprocess.Popen(
        [COMMAND, "analyze", media / "clip.mp4", "--detect", "visual", "--jsonl", pipe, "--context", "k=" + "x" * 4000],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    try:
        seen = b""
        deadline = time.monotonic() + 60
        while len(seen) < 1 and time.monotonic() < deadline:
            try:
                seen += os.read(reader, 1)
            except BlockingIOError:
                time.sleep(0.001)
        time.sleep(1)  # until the pipe is full: there is no event to wait for
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
    finally:
        process.kill()
        process.communicate()
        os.close(reader)


# ── probe ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_probe_says_what_a_file_is(media):
    text = vidloom("probe", media / "clip.mp4").stdout
    assert "h264" in text and "320 x 240" in text and "4.000 s" in text
    facts = json.loads(vidloom("probe", media / "clip.mp4", "--json").stdout)
    assert facts["frame_size"] == [320, 240]
    assert facts["codec"] == "h264"
    assert facts["duration"] == pytest.approx(4)
    assert facts["live"] is False
    assert vidloom("probe", "test:").returncode == 0


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts", "wraps.ts", "variable.mkv", "street"])
def test_probe_frames_are_ffmpegs_own(media, street, name):
    path = street if name == "street" else media / name
    reference = subprocess.run(
        ["ffmpeg", "-v", "error", "-noautorotate", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    expected = [line.split(",")[-1].strip() for line in reference.splitlines() if not line.startswith("#")]
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp", "-of", "csv=p=0", path],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    result = vidloom("probe", path, "--frames", "--json")
    assert result.returncode == 0, result.stderr
    lines = records(result.stdout)
    assert len(lines) == len(expected) > 0
    assert [line["md5"] for line in lines] == expected
    wrap = 2**33 if name.endswith(".ts") else 2**63  # ffprobe takes wraps away, we give them as the container does
    assert [line["pts"] % wrap for line in lines] == [int(text.strip(",")) % wrap for text in probed.split()]
    assert [line["sequence"] for line in lines] == list(range(len(lines)))
    assert lines[0]["keyframe"] is True
    assert {line["health"] for line in lines} == {"ok"}
    assert len(vidloom("probe", path, "--frames").stdout.splitlines()) == len(lines) + 1


# ── an installed tree without a component ────────────────────────────────────────────────────────────────────────────


def test_a_missing_component_is_named_with_its_package(media, tmp_path):
    build = COMMAND.resolve().parents[1]
    if not (build / "CMakeCache.txt").exists() or not list((build / "lib").glob("libvidloom_opencv.so*")):
        skip_or_fail(f"{build} is not a shared build tree to install from")
    subprocess.run(["cmake", "--install", build, "--prefix", tmp_path / "tree"], check=True, capture_output=True, timeout=120)
    command = tmp_path / "tree/bin/vidloom"
    assert vidloom("doctor", "--require", "people", command=command).returncode == 0
    libraries = list((tmp_path / "tree").rglob("libvidloom_opencv.so*"))
    assert libraries
    for library in libraries:
        library.unlink()
    result = vidloom("analyze", media / "clip.mp4", "--detect", "people", "--jsonl", tmp_path / "out.jsonl", command=command)
    assert result.returncode == 4
    assert "people" in result.stderr and "opencv" in result.stderr
    assert not (tmp_path / "out.jsonl").exists()
    assert vidloom("analyze", media / "clip.mp4", "--detect", "visual", "--sink", "null", command=command).returncode == 0
    doctor = vidloom("doctor", "--require", "people", command=command)
    assert doctor.returncode == 1
    assert "opencv" in doctor.stdout and "missing" in doctor.stdout
