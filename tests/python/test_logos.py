"""Brand marks as people look for them: a folder of pictures in Python, on the command line and in a config file."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from conftest import clip_folder, run_ffmpeg, upright

import vidloom as vl

COMMAND = str(pathlib.Path(sys.executable).with_name("vidloom"))
OUTLINE = [(0, 0), (30, 0), (30, 35), (65, 0), (100, 0), (55, 48), (100, 100), (65, 100), (30, 60), (30, 100), (0, 100)]


def vidloom(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options)


@pytest.fixture(scope="module")
def brands(tmp_path_factory) -> pathlib.Path:
    """One mark of our own, drawn by librsvg."""
    folder = tmp_path_factory.mktemp("brands")
    points = " ".join(f"{x},{y}" for x, y in OUTLINE)
    folder.joinpath("Kappa.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 100 100"><polygon points="{points}"/></svg>'
    )
    return folder


@pytest.fixture(scope="module")
def shelf(brands, vtest) -> str:
    """Two seconds of the street with the mark of 100 pixels at (250, 350), white."""
    path = brands.parent / "shelf.mp4"
    graph = "[1]negate=components=r+g+b[mark];[0][mark]overlay=250:350"
    run_ffmpeg(
        "-i",
        vtest,
        "-f",
        "svg_pipe",
        "-width",
        "100",
        "-height",
        "100",
        "-i",
        brands / "Kappa.svg",
        "-filter_complex",
        graph,
        "-t",
        "2",
        "-crf",
        "23",
        path,
    )
    return str(path)


def test_a_mark_is_found_where_it_is(brands, shelf):
    frames = list(vl.analyze(shelf, vl.logos(brands), every=0.5))
    assert len(frames) == 4
    for frame in frames:
        outcome = frame["logos"]
        assert outcome.kind == "logo"
        assert outcome.class_name == ["Kappa"]
        np.testing.assert_allclose(outcome.xyxy[0], [250, 350, 350, 450], atol=2.5)
        assert 0.5 < outcome.raw_score[0] <= 1 and 0.5 < outcome.confidence[0] <= 1


def test_a_mark_of_three_colours_on_nothing_is_found_by_its_outlines(vtest, tmp_path):
    arc = "a22 22 0 1 1 -19 33l10 -6a10 10 0 1 0 9 -15z"
    parts = [("#a00000", 50, 2), ("#006000", 24, 52), ("#0000c0", 76, 52)]
    paths = "".join(f'<path fill="{colour}" d="M{x} {y}{arc}"/>' for colour, x, y in parts)
    rings = tmp_path / "rings.svg"
    rings.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 100 100">{paths}</svg>')
    graph = "[0]drawbox=230:330:140:140:white:fill[plate];[plate][1]overlay=250:350"
    drawn = ("-f", "svg_pipe", "-width", "100", "-height", "100", "-i", rings)
    run_ffmpeg("-i", vtest, *drawn, "-filter_complex", graph, "-t", "1", "-crf", "23", tmp_path / "plate.mp4")
    frames = list(vl.analyze(str(tmp_path / "plate.mp4"), vl.logos(rings), every=0.5))
    assert len(frames) == 2
    for frame in frames:
        assert frame["logos"].class_name == ["rings"]
        np.testing.assert_allclose(frame["logos"].xyxy[0], [255, 352, 348, 446], atol=2.5)


def test_the_command_writes_kind_and_polygon(brands, shelf, tmp_path):
    result = vidloom("analyze", shelf, "--detect", "logos", "--references", brands, "--every", "1", "--jsonl", tmp_path / "out.jsonl")
    assert result.returncode == 0, result.stderr
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    answers = [record["analyses"]["logos"] for record in records if record["type"] == "frame"]
    assert answers and all(answer["kind"] == "logo" for answer in answers)
    found = answers[0]["detections"][0]
    assert found["class_name"] == "Kappa"
    corners = np.array(found["polygon"], float).reshape(-1, 2)
    np.testing.assert_allclose(corners, [[250, 350], [350, 350], [350, 450], [250, 450]], atol=2.5)


def test_references_of_a_config_file_are_relative_to_it(brands, shelf, tmp_path):
    folder = tmp_path / "conf"
    (folder / "marks").mkdir(parents=True)
    (folder / "marks" / "Kappa.svg").write_bytes((brands / "Kappa.svg").read_bytes())
    config = folder / "analyses.json"
    config.write_text(
        json.dumps({"version": 1, "analyses": {"marks": {"adapter": "logos", "references": "marks", "max_instances": 1, "every": 1}}})
    )
    frames = list(vl.analyze(shelf, config=config))
    assert [frame["marks"].class_name for frame in frames] == [["Kappa"]] * 2


@pytest.mark.parametrize("method", ["auto", "shape"])
def test_nothing_is_found_on_films_without_it(brands, vtest, method):
    for film in (vtest, clip_folder() / "cup.mp4"):
        frames = list(vl.analyze(str(film), vl.logos(brands, method=method), every=3))
        assert frames and all(len(frame["logos"]) == 0 for frame in frames)


def test_the_printed_box_is_outlined_as_it_turns_and_no_cup_is_a_box(tmp_path):
    box = str(clip_folder() / "box.mp4")
    source = vl.open_source(box)
    first = source.frames_at(indices=[0])[0].image("rgb").numpy()
    corners = [(370, 15), (597, 68), (567, 180), (297, 100)]  # the lid in the first picture, by eye
    vl.Frame.from_array(upright(first, corners, (330, 200))).save(tmp_path / "lid.png")
    found = [frame["logos"] for frame in vl.analyze(box, vl.logos(tmp_path / "lid.png"), every=1)]
    assert sum(len(outcome) for outcome in found) >= 0.9 * len(found)  # measured: 16 of 16
    assert all(len(outcome) <= 1 for outcome in found)
    np.testing.assert_allclose(np.reshape(found[0].polygon[0], (4, 2)), corners, atol=3)
    cup = list(vl.analyze(str(clip_folder() / "cup.mp4"), vl.logos(tmp_path / "lid.png"), every=0.5))
    assert cup and all(len(frame["logos"]) == 0 for frame in cup)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none", "there is no "),
        (lambda folder: folder, "holds no picture; put PNG, JPEG"),
    ],
)
def test_missing_and_empty_folders_are_config_errors(tmp_path, make, words):
    with pytest.raises(vl.ConfigError) as caught:
        list(vl.analyze("test:", vl.logos(make(tmp_path))))
    assert "logos.references" in str(caught.value) and words in str(caught.value)
    result = vidloom("analyze", "test:", "--detect", "logos", "--references", make(tmp_path))
    assert result.returncode == 2 and words in result.stderr


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(vl.ConfigError, match=r"half\.png"):
        list(vl.analyze("test:", vl.logos(tmp_path)))
