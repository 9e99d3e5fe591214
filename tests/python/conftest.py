"""What all Python tests share: clips, segments made on the spot, and skips that do not hide in CI."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A whole file that is skipped while it is read would not come by the hook above."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"
    return report


def clip_folder() -> pathlib.Path:
    """The folder with opencv-doc's clips."""
    candidates = [
        os.environ.get("VIDLOOM_CLIPS", ""),
        "/usr/share/doc/opencv-doc/examples/samples/data",
        "/usr/share/doc/opencv-doc/examples/data",
        str(HERE.parents[1] / "build" / "clips"),
    ]
    for folder in candidates:
        if folder and (pathlib.Path(folder) / "vtest.avi").exists():
            return pathlib.Path(folder)
    pytest.skip("vtest.avi is not there: install opencv-doc, or set VIDLOOM_CLIPS to a folder with it")


def upright(picture, corners, size):
    """What lies between four corners as a picture of (width, height), as the demo cuts its reference."""
    path = HERE.parents[1] / "src" / "cmake" / "tools" / "reference.py"
    spec = importlib.util.spec_from_file_location("demo_reference", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool.upright(picture, corners, size)


def run_ffmpeg(*arguments: object) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("the command ffmpeg is not installed")
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)], check=True, timeout=120)


@pytest.fixture(scope="session")
def vtest() -> str:
    return str(clip_folder() / "vtest.avi")


@pytest.fixture(scope="session")
def media(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def movie(media) -> str:
    """Two seconds, 320x240, 25 frames a second, something moving."""
    path = media / "movie.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2", "-pix_fmt", "yuv420p", path)
    return str(path)


@pytest.fixture(scope="session")
def segments(media) -> list[str]:
    """Four MPEG-TS segments of one second each that follow each other, from media time 10 s on."""
    run_ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x120:rate=10:duration=4",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "10",
        "-force_key_frames",
        "expr:gte(t,n_forced)",
        "-output_ts_offset",
        "10",
        "-f",
        "segment",
        "-segment_time",
        "1",
        "-segment_format",
        "mpegts",
        media / "segment%d.ts",
    )
    found = sorted(str(path) for path in media.glob("segment*.ts"))
    assert len(found) == 4
    return found


def run_python(script: str, *arguments: str, timeout: float = 30, **options) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own; a hang fails the test."""
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=timeout, **options)


@pytest.fixture
def python():
    return run_python
