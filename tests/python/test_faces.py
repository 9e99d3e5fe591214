"""The adapter faces: on a real portrait pasted into a real street, and on streets without faces."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess

import numpy
import pytest

import vidloom as vl

# The face in the portrait, read off the picture: left, top, right, bottom.
FACE = (172, 62, 278, 188)


@pytest.fixture(scope="module")
def portrait() -> numpy.ndarray:
    """512x512 RGB: the astronaut Eileen Collins (NASA, public domain), as scikit-image carries it."""
    found = importlib.util.find_spec("skimage")
    if found is None:
        pytest.skip("scikit-image is not installed, which carries the portrait")
    path = pathlib.Path(found.submodule_search_locations[0]) / "data" / "astronaut.png"
    return next(iter(vl.open_source(str(path)))).image("rgb").numpy().copy()


@pytest.fixture(scope="module")
def street(vtest) -> numpy.ndarray:
    return next(iter(vl.open_source(vtest))).image("rgb").numpy().copy()


def small(picture: numpy.ndarray, factor: int) -> numpy.ndarray:
    """By the mean of factor x factor pixels."""
    height, width = (side // factor * factor for side in picture.shape[:2])
    return picture[:height, :width].reshape(height // factor, factor, width // factor, factor, 3).mean(axis=(1, 3)).astype(numpy.uint8)


def paste(street: numpy.ndarray, part: numpy.ndarray, x: int, y: int) -> numpy.ndarray:
    picture = street.copy()
    picture[y : y + part.shape[0], x : x + part.shape[1]] = part
    return picture


def looks_at(box, face) -> bool:
    """Its centre is on the face, and its side between 0.6 and 1.6 of the face's width."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = (box[2] - box[0]) / (face[2] - face[0])
    return face[0] < x < face[2] and face[1] < y < face[3] and 0.6 < side < 1.6


@pytest.mark.parametrize(("factor", "x", "y"), [(1, 40, 30), (2, 400, 300), (3, 10, 380)])
def test_a_face_in_a_street_is_found_where_it_is(street, portrait, factor, x, y):
    picture = paste(street, small(portrait, factor), x, y)
    found = vl.Analyzer({"faces": vl.faces(scale=1.1)}).analyze_frame(picture)["faces"]
    assert found.kind == "face"
    face = [FACE[0] / factor + x, FACE[1] / factor + y, FACE[2] / factor + x, FACE[3] / factor + y]
    assert [looks_at(box, face) for box in found.xyxy] == [True], (found.xyxy, face)
    assert found.class_name == ["face"] and found.raw_score[0] > 0 and 0.5 < found.confidence[0] <= 1


def test_two_faces_best_first_and_the_same_answer_each_time(street, portrait):
    picture = paste(paste(street, small(portrait, 2), 20, 300), small(portrait, 3), 550, 20)
    analyzer = vl.Analyzer({"faces": vl.faces(scale=1.1)})
    answers = [analyzer.analyze_frame(picture)["faces"] for _ in range(3)]
    assert len(answers[0]) == 2 and answers[0].raw_score[0] >= answers[0].raw_score[1]
    for again in answers[1:]:
        assert again.xyxy.tolist() == answers[0].xyxy.tolist() and again.raw_score.tolist() == answers[0].raw_score.tolist()


def test_regions_leave_the_other_face_alone(street, portrait):
    picture = paste(paste(street, small(portrait, 2), 20, 300), small(portrait, 3), 550, 20)
    left = vl.Analyzer({"faces": vl.faces(scale=1.1, regions=[[0, 0, 0.5, 1]])}).analyze_frame(picture)["faces"]
    masked = vl.Analyzer({"faces": vl.faces(scale=1.1, regions={"exclude": [[0, 0.4, 0.5, 1]]})}).analyze_frame(picture)["faces"]
    assert len(left) == 1 and left.xyxy[0][2] < 384
    assert len(masked) == 1 and masked.xyxy[0][0] > 384


def test_streets_without_faces_have_none(vtest):
    """People 100 pixels tall: their faces have about 10, which nobody finds; whatever is found is a mistake."""
    with vl.analyze(vtest, vl.faces(scale=1.1), every=8.0) as run:
        answers = [frame["faces"] for frame in run]
    assert len(answers) == 10 and all(answer.answered and len(answer) == 0 for answer in answers)


def test_small_faces_are_beyond_a_wide_stride(street, portrait):
    picture = paste(street, small(portrait, 3), 100, 100)  # about 35 pixels
    assert len(vl.Analyzer({"faces": vl.faces(scale=1.1, stride=32)}).analyze_frame(picture)["faces"]) == 0


def test_a_cascade_of_ones_own_and_what_is_no_cascade(street, portrait, tmp_path):
    cascade = pathlib.Path("/usr/share/opencv4/haarcascades/haarcascade_frontalface_alt.xml")
    if not cascade.exists():
        pytest.skip("opencv-data is not installed")
    picture = paste(street, small(portrait, 2), 400, 300)
    assert len(vl.Analyzer({"faces": vl.faces(model=cascade, scale=1.1)}).analyze_frame(picture)["faces"]) == 1
    text = tmp_path / "cascade.xml"
    text.write_text("<?xml version='1.0'?><opencv_storage><cascade/></opencv_storage>")
    for model, part in ((text, "is no cascade"), (tmp_path / "absent.xml", "cannot be read")):
        with pytest.raises(vl.ModelError, match=part):
            vl.Analyzer({"faces": vl.faces(model=model)}).warm_up()
    with pytest.raises(vl.ConfigError, match="scale"):
        vl.Analyzer({"faces": vl.faces(scale=1)})


def test_blur_hides_the_face_and_nothing_else(street, portrait, tmp_path):
    picture = paste(street, small(portrait, 2), 400, 300)
    source, out = tmp_path / "street.mp4", tmp_path / "blurred.mp4"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "768x576", "-r", "5", "-i", "-"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *raw, "-crf", "10", str(source)], input=picture.tobytes() * 5, check=True)
    vl.analyze(str(source), vl.faces(scale=1.1), sinks=[vl.annotate(str(out), blur=["face"])]).run()
    before = next(iter(vl.open_source(str(source)))).luma().astype(int)
    after = next(iter(vl.open_source(str(out)))).luma().astype(int)
    face = numpy.s_[345:385, 495:530]  # eyes, nose and mouth
    assert after[face].std() < before[face].std() / 2
    assert abs(after[:, :380] - before[:, :380]).mean() < 2
