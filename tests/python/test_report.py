"""Reports and contact sheets as people type them: what is made, refused, hidden, and left after an end that nobody planned."""

from __future__ import annotations

import base64
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import vidloom as vl

COMMAND = str(pathlib.Path(sys.executable).with_name("vidloom"))
SOURCE = "test:size=320x240,frames=60"


def vidloom(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options)


@vl.adapter("boxed", kind="object")
def boxed(items):
    """One box; nothing is known of every seventh picture."""
    found = vl.Detections([[160, 40, 280, 120]], confidence=[0.9], class_name=["secret thing"])
    return [vl.Error("cannot see", code="model") if item.frame.sequence % 7 == 6 else found for item in items]


BOXED = {"boxed": {"adapter": "boxed"}}


def pictures_of(page: pathlib.Path) -> list[tuple[float, np.ndarray]]:
    """Media times and pictures of a page's moments."""
    text = page.read_text()
    found = []
    for at, data in re.findall(r'data-time="([\d.]+)"[^>]*><span class="thumb"><img [^>]*base64,([^"]+)"', text):
        file = page.with_name("picture.jpg")
        file.write_bytes(base64.b64decode(data))
        (frame,) = vl.open_source(str(file))
        found.append((float(at), frame.image("rgb").numpy().astype(int)))
    return found


def test_the_outputs_of_one_run_go_together(tmp_path):
    names = {"jsonl": "out.jsonl", "annotate": "out.mp4", "report": "out.html"}
    sheet = vl.contact_sheet(tmp_path / "out.png", columns=3, cells=6, width=160)
    summary = vl.analyze(SOURCE, BOXED, sinks=[sheet], **{key: tmp_path / name for key, name in names.items()}).run()
    assert summary.exit_code == 1 and sorted(os.listdir(tmp_path)) == ["out.html", "out.jsonl", "out.mp4", "out.png"]
    page = (tmp_path / "out.html").read_text()
    assert 'src="./out.mp4"' in page and "boxed: failed 8 of 60" in page and "8 \u00d7 model: cannot see" in page
    (drawn,) = vl.open_source(str(tmp_path / "out.png"))
    assert drawn.size == (3 * 166 + 6, 2 * 126 + 6)
    pixels = drawn.image("rgb").numpy().astype(int)
    amber = np.abs(pixels - [255, 179, 0]).sum(axis=2) < 90  # the outline of its first class
    for row in range(2):
        for column in range(3):
            assert amber[6 + 126 * row : 126 + 126 * row, 6 + 166 * column : 166 + 166 * column].sum() > 60


def test_pictures_are_of_their_time_and_colours(tmp_path):
    vl.analyze(SOURCE, BOXED, annotate=tmp_path / "a.mp4", report=vl.report(tmp_path / "a.html", video=tmp_path / "a.mp4", moments=5)).run()
    originals = {round(frame.media_time, 3): frame.image("rgb").numpy().astype(int) for frame in vl.open_source(SOURCE)}
    found = pictures_of(tmp_path / "a.html")
    assert len(found) == 5
    for at, picture in found:
        assert np.abs(picture - originals[round(at, 3)]).mean() < 6


@pytest.mark.parametrize("how", ["pixelate", "blur"])
def test_who_must_not_be_seen_is_in_no_picture(tmp_path, how):
    hidden = {how: ["secret thing"]}
    sinks = [vl.report(tmp_path / "a.html", moments=60, **hidden), vl.contact_sheet(tmp_path / "a.png", cells=9, width=320, **hidden)]
    vl.analyze(SOURCE, {**BOXED, "v": {"adapter": "visual"}}, sinks=sinks).run()
    originals = [frame.image("rgb").numpy().astype(int) for frame in vl.open_source(SOURCE)]
    found = pictures_of(tmp_path / "a.html")
    assert {round(at * 25) % 7 == 6 for at, _ in found} == {True, False}
    for at, picture in found:
        original = originals[round(at * 25)]
        inside, outside = np.abs(picture - original)[44:116, 164:276].max(), np.abs(picture - original)[140:230, 100:].mean()
        unknown = round(at * 25) % 7 == 6  # then the person may be anywhere
        assert inside > 60
        assert (outside > 12) == unknown
    (sheet,) = vl.open_source(str(tmp_path / "a.png"))
    assert sheet.size[1] > 700


def test_a_report_hides_what_another_output_of_the_run_hides(tmp_path):
    hiding = vl.annotate(tmp_path / "a.mp4", pixelate=["secret thing"])
    vl.analyze(SOURCE, BOXED, annotate=hiding, report=tmp_path / "a.html").run()
    assert 'src="./a.mp4"' in (tmp_path / "a.html").read_text()
    beside = vl.annotate(vl.video(tmp_path / "beside.mp4"), blur=["secret thing"])
    vl.analyze(SOURCE, BOXED, sinks=[beside], report=tmp_path / "b.html").run()
    assert 'src="./b.mp4"' in (tmp_path / "b.html").read_text()  # its own, hidden alike
    for name in ("a.html", "b.html"):
        found = pictures_of(tmp_path / name)
        originals = [frame.image("rgb").numpy().astype(int) for frame in vl.open_source(SOURCE)]
        assert found and all(np.abs(picture - originals[round(at * 25)])[44:116, 164:276].max() > 60 for at, picture in found)


def test_existing_files_and_sources_are_refused_before_work(tmp_path):
    film = tmp_path / "film.mp4"
    vl.analyze(SOURCE, "visual", every=1, sinks=[vl.video(film)]).run()
    page = tmp_path / "out.html"
    page.write_text("precious")
    result = vidloom("analyze", film, "--detect", "visual", "--report", page)
    assert result.returncode == 5 and "exists" in result.stderr
    with pytest.raises(vl.OutputError, match="exists"):
        vl.analyze(film, "visual", report=page)
    assert page.read_text() == "precious" and sorted(os.listdir(tmp_path)) == ["film.mp4", "out.html"]
    assert vidloom("analyze", film, "--detect", "visual", "--every", "1", "--report", page, "-y").returncode == 0
    assert 'src="./film.mp4"' in page.read_text() and sorted(os.listdir(tmp_path)) == ["film.mp4", "out.html"]
    hiding = vidloom("analyze", film, "--detect", "visual", "--blur", "x", "--report", tmp_path / "film.html", "-y")
    assert hiding.returncode == 2 and "source" in hiding.stderr  # its own film would be the source
    assert vidloom("analyze", film, "--detect", "visual", "--report", tmp_path / "no" / "out.html").returncode == 5
    missing = vidloom("analyze", tmp_path / "no.mp4", "--detect", "visual", "--report", tmp_path / "new.html")
    assert missing.returncode == 3
    assert sorted(os.listdir(tmp_path)) == ["film.mp4", "out.html"]
    full = vidloom("analyze", film, "--detect", "visual", "--every", "1", "--report", "/dev/full")
    assert full.returncode == 5 and "No space left" in full.stderr


def test_several_sources_are_several_sections_each_with_its_film(tmp_path):
    page = tmp_path / "out.html"
    names = ["--name", "gate <1>", "--name", "yard", "--sink", f"sheet:{tmp_path}/out.png"]
    result = vidloom("analyze", SOURCE, "test:size=160x120,frames=30", *names, "--detect", "visual,motion", "--report", page)
    assert result.returncode == 0, result.stderr
    text = page.read_text()
    assert text.count('<section class="stream"') == 2 and "gate &lt;1&gt;" in text and "<1>" not in text
    films = re.findall(r'<video [^>]*src="./([^"]+)"', text)
    assert len(films) == 2 and sorted(os.listdir(tmp_path)) == sorted(["out.html", "out.png", *films])


def run_until(tmp_path: pathlib.Path, signal_number: int) -> subprocess.Popen:
    film = tmp_path / "out.mp4"
    command = [COMMAND, "analyze", "test:size=640x360,frames=100000", "--detect", "visual", "--every", "1", "-q"]
    command += ["--report", str(tmp_path / "out.html")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (film.exists() and film.stat().st_size > 100_000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal_number)
    process.communicate(timeout=60)
    return process


def test_an_interrupt_leaves_a_whole_page_and_a_kill_leaves_none(tmp_path):
    assert run_until(tmp_path, signal.SIGINT).returncode == 130
    page = (tmp_path / "out.html").read_text()
    assert page.endswith("</html>\n") and "ended early" in page
    assert sorted(os.listdir(tmp_path)) == ["out.html", "out.mp4"]
    for name in os.listdir(tmp_path):
        (tmp_path / name).unlink()
    run_until(tmp_path, signal.SIGKILL)
    assert os.listdir(tmp_path) == ["out.mp4"]
