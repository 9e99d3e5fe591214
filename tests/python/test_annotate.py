"""Annotated video and snapshots, as people type them: what is in the files, what a kill, a full disk and a refusal leave."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import run_ffmpeg

import vidloom as vl

COMMAND = str(pathlib.Path(sys.executable).with_name("vidloom"))


def vidloom(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options)


def probe(path: object, entries: str, *extra: str) -> dict:
    command = ["ffprobe", "-v", "error", *extra, "-show_entries", entries, "-of", "json", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def times(path: object) -> list[float]:
    frames = probe(path, "frame=best_effort_timestamp_time", "-select_streams", "v")["frames"]
    return [float(frame["best_effort_timestamp_time"]) for frame in frames]


def sound(path: object) -> list[str]:
    """Sizes and hashes of the audio packets."""
    packets = probe(path, "packet=size,data_hash", "-select_streams", "a", "-show_data_hash", "md5")["packets"]
    return [packet["data_hash"] for packet in packets]


@pytest.fixture(scope="module")
def film(media) -> str:
    """Three seconds with sound and B-frames."""
    path = media / "film.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30000/1001:duration=3", "-f", "lavfi", "-i", "sine=frequency=440:duration=3"),
        *("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", path),
    )
    return str(path)


@pytest.mark.parametrize("ending", ["mp4", "mov", "ts"])
def test_all_pictures_their_times_and_the_sound_are_there(film, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    result = vidloom("analyze", film, "--detect", "visual,motion", "--every", "0.5", "--annotate", out)
    assert result.returncode == 0, result.stderr
    assert "out." in result.stderr
    before, after = times(film), times(out)
    assert len(after) == len(before) > 80
    np.testing.assert_allclose(np.array(after) - after[0], np.array(before) - before[0], atol=0.001)
    codecs = [stream["codec_name"] for stream in probe(out, "stream=codec_name")["streams"]]
    assert codecs == ["h264", "aac"]
    if ending != "ts":
        assert sound(out) == sound(film)
        head = out.read_bytes()[:64]
        assert head[4:8] == b"ftyp" and out.read_bytes().index(b"moov") < out.read_bytes().index(b"mdat")
        assert b"moof" not in out.read_bytes()
    decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", out, "-f", "null", "-"], capture_output=True, text=True, check=False)
    assert decoded.returncode == 0 and not decoded.stderr
    assert os.listdir(tmp_path) == [out.name]


def test_transport_streams_keep_timestamps_and_sound_to_the_byte(film, tmp_path):
    source, out, mp4 = tmp_path / "in.ts", tmp_path / "out.ts", tmp_path / "out.mp4"
    run_ffmpeg("-i", film, "-c", "copy", "-output_ts_offset", "10", source)
    vl.analyze(source, "visual", every=1, annotate=out).run()
    assert times(out) == times(source)
    assert sound(out) == sound(source)
    vl.analyze(source, "visual", every=1, annotate=mp4).run()
    assert sound(mp4) == sound(film)  # without the headers that MPEG-TS puts before each packet
    assert times(mp4)[0] == 0


def test_a_slow_encoder_and_a_slow_sink_lose_nothing(film, tmp_path):
    """Both are several times slower than the work before them: that waits for them."""

    class Slow(vl.Sink):
        def __init__(self):
            self.sequences = []

        def info(self):
            return vl.SinkInfo(every_frame=True, pixels=True)

        def write(self, result):
            time.sleep(0.02)
            self.sequences.append(result.sequence)

    slow, out = Slow(), tmp_path / "out.mp4"
    boxes = vl.annotate(vl.video(out, preset="placebo", quality=10))
    summary = vl.analyze(film, ["visual", "motion"], every=0.2, sinks=[boxes, slow]).run()
    before, after = times(film), times(out)
    assert len(after) == len(before) == summary.frames
    np.testing.assert_allclose(np.array(after) - after[0], np.array(before) - before[0], atol=0.001)
    assert slow.sequences == list(range(len(before))) and not summary.drops


def test_pictures_that_change_their_size_are_scaled_to_the_first_ones(tmp_path):
    parts = [tmp_path / "small.ts", tmp_path / "large.ts"]
    for path, size, begin in zip(parts, ("320x240", "640x360"), (0, 1), strict=True):
        run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration=1", "-pix_fmt", "yuv420p", "-output_ts_offset", begin, path)
    source, out = tmp_path / "both.ts", tmp_path / "out.mp4"
    source.write_bytes(b"".join(path.read_bytes() for path in parts))
    result = vidloom("analyze", source, "--detect", "visual", "--every", "0.5", "--annotate", out)
    assert result.returncode == 0 and "scaled to 320x240" in result.stderr
    assert len(times(out)) == len(times(source)) > 45
    assert {(s["width"], s["height"]) for s in probe(out, "stream=width,height")["streams"]} == {(320, 240)}


def test_a_part_has_its_part_of_the_sound(film, tmp_path):
    out = tmp_path / "out.mp4"
    vl.analyze(film, "visual", every=1, start=1, end=2, annotate=str(out)).run()
    assert len(times(out)) == len([t for t in times(film) if 1 <= t < 2])
    heard, whole = sound(out), sound(film)
    assert 40 <= len(heard) <= 44
    first = whole.index(heard[0])
    assert whole[first : first + len(heard)] == heard
    started = {s["codec_type"]: float(s["start_time"]) for s in probe(out, "stream=codec_type,start_time")["streams"]}
    assert started["video"] == 0 and 0 <= started["audio"] < 0.03


def test_without_sound_and_with_sound_that_no_container_takes(film, tmp_path):
    out = tmp_path / "out.mp4"
    vl.analyze(film, "visual", every=1, annotate=vl.annotate(vl.video(out, audio=False))).run()
    assert [s["codec_type"] for s in probe(out, "stream=codec_type")["streams"]] == ["video"]
    source = tmp_path / "wav.mkv"
    run_ffmpeg("-i", film, "-c:v", "copy", "-c:a", "pcm_s16le", source)
    result = vidloom("analyze", source, "--detect", "visual", "--every", "1", "--annotate", out, "-y")
    assert result.returncode == 0
    if "has no sound" not in result.stderr:  # newer FFmpegs put PCM into MP4
        assert len(probe(out, "stream=codec_type")["streams"]) == 2


def test_existing_files_sources_and_several_streams_are_refused_before_work(film, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    result = vidloom("analyze", film, "--detect", "visual", "--annotate", out)
    assert result.returncode == 5 and "exists" in result.stderr
    with pytest.raises(vl.OutputError, match="exists"):
        vl.analyze(film, "visual", annotate=out)
    assert out.read_bytes() == b"precious"
    assert vidloom("analyze", film, "--detect", "visual", "--annotate", out, "-y", "--every", "1").returncode == 0
    assert len(times(out)) > 80
    copy = tmp_path / "copy.mp4"
    shutil.copy(film, copy)
    assert vidloom("analyze", copy, "--detect", "visual", "--annotate", copy, "-y").returncode == 2
    with pytest.raises(vl.ConfigError, match="own source"):
        vl.analyze(copy, "visual", annotate=copy, overwrite=True)
    two = vidloom("analyze", film, copy, "--detect", "visual", "--annotate", tmp_path / "two.mp4")
    assert two.returncode == 2 and "sources" in two.stderr
    assert vidloom("analyze", film, "--detect", "visual", "--annotate", tmp_path / "a.avi").returncode == 2
    assert vidloom("analyze", film, "--detect", "visual", "--blur", "person").returncode == 2
    assert sorted(os.listdir(tmp_path)) == ["copy.mp4", "out.mp4"]
    missing = vidloom("analyze", tmp_path / "no.mp4", "--detect", "visual", "--annotate", tmp_path / "no-out.mp4")
    assert missing.returncode == 3 and not (tmp_path / "no-out.mp4").exists()


@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_what_a_kill_leaves_can_be_played(tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    command = [COMMAND, "analyze", "test:size=640x360,frames=100000", "--detect", "visual", "--every", "1", "--annotate", str(out), "-q"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (out.exists() and out.stat().st_size > 300_000):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = times(out)
    assert len(left) > 50
    np.testing.assert_allclose(np.diff(left)[:-8], 0.04, atol=0.001)  # the last B-frames may be missing


def test_an_interrupt_finishes_the_film(tmp_path):
    out = tmp_path / "out.mp4"
    command = [COMMAND, "analyze", "test:size=640x360,frames=100000", "--detect", "visual", "--every", "1", "--annotate", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (out.exists() and out.stat().st_size > 100_000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"moof" not in out.read_bytes() and len(times(out)) > 20


@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_a_full_disk_exits_5_and_what_is_written_can_be_played(tmp_path, ending):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not allow mounts: {mounted.stderr.strip()}")
    try:
        out = disk / f"out.{ending}"
        result = vidloom("analyze", "test:size=640x360,frames=5000", "--detect", "visual", "--every", "1", "--annotate", out)
        assert result.returncode == 5, result.stderr
        assert "No space left" in result.stderr
        left = times(out)
        assert len(left) > 50
        np.testing.assert_allclose(np.diff(left)[:-8], 0.04, atol=0.001)  # the last B-frames may be missing
        assert os.listdir(disk) == [out.name]
    finally:
        subprocess.run(["umount", disk], check=True)


class Middle(vl.DetectionAdapter):
    def info(self):
        return vl.AdapterInfo(max_batch=4)

    def detect(self, items, ctx):
        return [vl.Detections(xyxy=[[100, 60, 220, 180]], class_name=["thing"], confidence=[0.5]) for _ in items]


@pytest.fixture(scope="module")
def middle() -> str:
    vl.register_adapter("middle", Middle)
    return "middle"


def pictures(path: object) -> list[np.ndarray]:
    return [frame.image("rgb").numpy().astype(int) for frame in vl.open_source(str(path))]


def test_styles_hiding_and_sinks_of_ones_own(film, middle, tmp_path):
    plain, drawn, hidden = tmp_path / "plain.mp4", tmp_path / "drawn.mp4", tmp_path / "hidden.mp4"
    red = {"object": {"labels": False, "colour": (255, 0, 0), "line": 3}}

    class Count(vl.Sink):
        frames = 0

        def info(self):
            return vl.SinkInfo(every_frame=True, pixels=True)

        def write(self, result):
            self.frames += 1
            if self.frames == 1:
                self.first = result.frame.image("rgb").numpy().astype(int)

    count = Count()
    bare = {"object": {"boxes": False, "labels": False}}
    outputs = [vl.video(plain), vl.annotate(hidden, pixelate="thing", kinds=bare), vl.annotate(count, kinds=red)]
    vl.analyze(film, middle, max_frames=20, annotate=vl.annotate(drawn, kinds=red), sinks=outputs).run()
    assert count.frames == 20
    assert np.abs(count.first[61, 110:210] - [255, 0, 0]).mean() < 12
    for before, with_box, without in zip(pictures(plain), pictures(drawn), pictures(hidden), strict=True):
        assert np.abs(with_box[61, 110:210] - [255, 0, 0]).mean() < 40
        assert np.abs(with_box[:40] - before[:40]).mean() < 4
        assert np.abs(without[70:170, 110:210] - before[70:170, 110:210]).mean() > 12  # three times what encoding changes
        assert np.abs(without[:40] - before[:40]).mean() < 4


def test_snapshots_and_crops(film, middle, tmp_path):
    result = next(iter(vl.analyze(film, middle, max_frames=1, keep_frames=True)))
    frame, thing = result.frame, result["middle"].detections[0]
    frame.save(tmp_path / "whole.png")
    frame.save_crop(thing, str(tmp_path / "thing.png"))
    frame.save_crop((0, 0, 10.5, 5), tmp_path / "corner.png")
    vl.annotated(frame, result).save(tmp_path / "drawn.png")
    rgb = frame.image("rgb").numpy()
    (whole,), (crop,), (corner,), (drawn,) = (pictures(tmp_path / name) for name in ("whole.png", "thing.png", "corner.png", "drawn.png"))
    assert (whole == rgb).all() and (crop == rgb[60:180, 100:220]).all() and (corner == rgb[:5, :11]).all()
    assert np.abs(drawn - rgb)[60, 110:210].mean() > 10
    with pytest.raises(vl.ConfigError, match="nothing"):
        frame.save_crop((500, 0, 600, 10), tmp_path / "no.png")
    with pytest.raises(vl.ConfigError, match="png"):
        frame.save(tmp_path / "no.jpg")
    with pytest.raises(vl.ConfigError, match="Detection"):
        frame.save_crop("thing", tmp_path / "no.png")
    with pytest.raises(vl.OutputError):
        frame.save(tmp_path / "no" / "no.png")
    assert len(os.listdir(tmp_path)) == 4


def test_bad_options_name_field_and_fix(tmp_path):
    out = tmp_path / "out.mp4"
    for call, word in (
        (lambda: vl.annotate(out, scale=0), "scale"),
        (lambda: vl.annotate(out, blur=[1]), "blur"),
        (lambda: vl.annotate(out, kinds={"things": {}}), "things"),
        (lambda: vl.annotate(out, kinds={"object": {"color": 1}}), "color"),
        (lambda: vl.annotate(out, kinds={"object": {"colour": (1, 2, 300)}}), "300"),
        (lambda: vl.video(out, quality=77), "quality"),
        (lambda: vl.video(tmp_path / "out.mkv"), "mkv"),
        (lambda: vl.annotate(7), "sinks"),
    ):
        with pytest.raises(vl.ConfigError, match=word):
            call()
    assert not list(tmp_path.iterdir())


def test_hashes_are_of_something(film):
    assert len(set(sound(film))) > 50 and hashlib.md5(b"").hexdigest() not in " ".join(sound(film))
