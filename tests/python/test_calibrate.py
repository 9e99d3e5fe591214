"""`vidloom calibrate`: the curve that Platt's loss asks for, and no curve where the frames do not say."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

import vidloom as vl

models = pytest.importorskip("clip_models")
COMMAND = pathlib.Path(os.environ.get("VIDLOOM_COMMAND", pathlib.Path(__file__).resolve().parents[2] / "build/bin/vidloom"))
LABELS = ["cat", "dog"]


def calibrate(*arguments) -> subprocess.CompletedProcess:
    if not COMMAND.exists():
        pytest.skip(f"{COMMAND} is not built; set VIDLOOM_COMMAND")
    return subprocess.run([COMMAND, "calibrate", *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.make_model(tmp_path_factory.mktemp("clip"), seed=9)


@pytest.fixture
def config(model, tmp_path) -> pathlib.Path:
    # What hides cosines from users is no hindrance here.
    brands = {
        "adapter": "clip",
        "model": str(model.folder),
        "labels": LABELS,
        "precision": "fp32",
        "min_confidence": 0.9,
        "top_k": 1,
        "every": 1,
    }
    path = tmp_path / "analyses.json"
    path.write_text(json.dumps({"version": 1, "analyses": {"visual": {}, "brands": brands}}))
    return path


def truth_of(path: pathlib.Path, images: list[dict], present: list[list[str]]) -> pathlib.Path:
    categories = [{"id": i + 1, "name": label} for i, label in enumerate(LABELS)]
    annotations = [
        {"id": 10 * i + LABELS.index(label), "image_id": i, "category_id": LABELS.index(label) + 1}
        for i, labels in enumerate(present)
        for label in labels
    ]
    numbered = [image | {"id": i} for i, image in enumerate(images)]
    path.write_text(json.dumps({"images": numbered, "annotations": annotations, "categories": categories}))
    return path


@pytest.fixture(scope="module")
def looked(model, movie):
    """Every other frame of the film: (pts, cosine of each label)."""
    with vl.Analyzer({"clip": vl.clip(model.folder, labels=LABELS, precision="fp32", min_confidence=0)}) as analyzer:
        results = [(frame.pts, {label.class_name: label.raw_score for label in frame["clip"].labels}) for frame in analyzer.analyze(movie)]
    assert len(results) == 50
    return results[::2]


def labelled(looked, wrong: int) -> list[list[str]]:
    """The upper half of the cosines has the label, save that some say the opposite."""
    there: list[list[str]] = [[] for _ in looked]
    for label in LABELS:
        cosines = np.array([cosine[label] for _, cosine in looked])
        has = cosines > np.median(cosines)
        has[:: len(has) // wrong if wrong else len(has) + 1] ^= True
        for i in np.flatnonzero(has if wrong else cosines > np.median(cosines)):
            there[i].append(label)
    return there


def slope_of_loss(cosines, has, threshold, temperature) -> np.ndarray:
    """The gradient of Platt's loss in a and b of 1 / (1 + exp(-(a z + b))), per sample; z is the standardised cosine."""
    positives = has.sum()
    wanted = np.where(has, (positives + 1) / (positives + 2), 1 / (len(has) - positives + 2))
    error = 1 / (1 + np.exp(-(cosines - threshold) / temperature)) - wanted
    z = (cosines - cosines.mean()) / cosines.std()
    return np.array([(error * z).mean(), error.mean()])


@pytest.mark.parametrize("wrong", [4, 0], ids=["some the other way", "separable"])
def test_the_curve_has_the_least_loss(looked, model, movie, config, tmp_path, wrong):
    there = labelled(looked, wrong)
    truth = truth_of(tmp_path / "truth.json", [{"pts": pts} for pts, _ in looked], there)
    out = tmp_path / "calibration.json"
    done = calibrate(movie, "--truth", truth, "--config", config, "-o", out)
    assert done.returncode == 0, done.stderr
    made = json.loads(out.read_text())
    assert made["version"] == 1 and list(made["labels"]) == LABELS and made["fitted"]["frames"] == 25
    for label in LABELS:
        has = np.array([label in labels for labels in there])
        about = made["fitted"]["labels"][label]
        assert (about["positives"], about["negatives"]) == (has.sum(), (~has).sum()) and min(has.sum(), (~has).sum()) > 5
        curve = made["labels"][label]
        assert np.isfinite([curve["threshold"], curve["temperature"]]).all() and curve["temperature"] > 0
        assert abs(slope_of_loss(np.array([cosine[label] for _, cosine in looked]), has, **curve)).max() < 1e-4
        row = next(line for line in done.stderr.splitlines() if line.startswith(label)).split()
        assert row[1:3] == [str(has.sum()), str((~has).sum())]
    # The adapter reads what was written, and twice the same is written.
    with vl.Analyzer({"clip": vl.clip(model.folder, labels=LABELS, precision="fp32", min_confidence=0, calibration=out)}) as analyzer:
        for label in analyzer.analyze_frame(next(iter(vl.open_source(movie))))["clip"].labels:
            curve = made["labels"][label.class_name]
            assert label.confidence == pytest.approx(
                1 / (1 + np.exp(-(label.raw_score - curve["threshold"]) / curve["temperature"])), abs=1e-4
            )
    assert calibrate(movie, "--truth", truth, "--config", config, "-o", out).returncode == 5  # never over a file by mistake
    again = calibrate(movie, "--truth", truth, "--config", config)
    assert again.returncode == 0 and again.stdout == out.read_text()


@pytest.fixture(scope="module")
def compared(model, vtest, tmp_path_factory):
    """Every 40th frame of real footage labelled, and the calibration of an analysis whose precision is open."""
    folder = tmp_path_factory.mktemp("compared")
    analyses = {"clip": {"labels": LABELS, "embedding": True, "min_confidence": 0, "model": str(model.folder)}}
    seen = {}
    for precision in ("fp32", "int8"):
        with vl.Analyzer({"clip": analyses["clip"] | {"precision": precision}}, device="cpu") as analyzer:
            seen[precision] = [(frame.pts, frame["clip"]) for frame in analyzer.analyze(vtest)]
    cosines = [(pts, {label.class_name: label.raw_score for label in clip.labels}) for pts, clip in seen["fp32"]][::40]
    truth = truth_of(folder / "truth.json", [{"pts": pts} for pts, _ in cosines], labelled(cosines, 0))
    (folder / "analyses.json").write_text(json.dumps({"version": 1, "analyses": analyses}))
    done = calibrate(vtest, "--truth", truth, "--config", folder / "analyses.json", "-o", folder / "calibration.json")
    assert done.returncode == 0, done.stderr
    return folder / "calibration.json", done.stderr, seen, labelled(cosines, 0)


def test_int8_is_compared_with_fp32_on_labelled_and_other_frames(compared, model):
    path, said, seen, there = compared
    made = json.loads(path.read_text())
    count = len(seen["fp32"])
    looked_at = sorted({count * i // 100 for i in range(100)} | set(range(0, count, 40)))
    assert made["fitted"]["frames"] == len(range(0, count, 40)) < 100 < len(looked_at)
    pairs = [(seen["fp32"][i][1], seen["int8"][i][1]) for i in looked_at]
    same = np.mean([a.labels[0].class_name == b.labels[0].class_name for a, b in pairs])
    cosine = min(float(a.embedding @ b.embedding) for a, b in pairs)
    assert made["int8"]["frames"] == len(looked_at)
    assert made["int8"]["same_best_label"] == pytest.approx(same) and 0.5 < same <= 1
    assert made["int8"]["least_cosine"] == pytest.approx(cosine, abs=1e-5) and 0.9 < cosine < 1
    assert made["int8"]["passes"] == (cosine >= 0.99 and same >= 0.99)
    assert f"int8 beside fp32 on {len(looked_at)} frames" in said
    # int8's cosines have curves of their own.
    for label in LABELS:
        cosines = np.array([next(one.raw_score for one in clip.labels if one.class_name == label) for _, clip in seen["int8"][::40]])
        has = np.array([label in labels for labels in there])
        assert abs(slope_of_loss(cosines, has, **made["int8"]["labels"][label])).max() < 1e-4
        assert made["int8"]["labels"][label] != made["labels"][label]
    assert made["model"]["name"] == model.folder.name and len(made["model"]["id"]) == 64


def test_auto_takes_int8_only_with_a_calibration_that_has_seen_it_agree(compared, model, tmp_path, monkeypatch, caplog):
    path, *_ = compared
    made = json.loads(path.read_text())
    made["int8"]["passes"] = True
    def chosen(curves=None, **changes):
        file = tmp_path / "calibration.json"
        file.write_text(json.dumps(made | changes))
        with vl.Analyzer({"clip": vl.clip(model.folder, labels=LABELS, calibration=file, min_confidence=0)}, device="cpu") as analyzer:
            analyzer.warm_up()
            found = analyzer.analyze_frame(frame)["clip"].labels if curves else []
            assert len(found) == len(curves or ())
            for label in found:
                curve = curves[label.class_name]
                wanted = 1 / (1 + np.exp(-(label.raw_score - curve["threshold"]) / curve["temperature"]))
                assert label.confidence == pytest.approx(wanted, abs=1e-4)
            return analyzer.health()["clip"]["precision"]

    frame = models.picture(64, 48, 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = chosen()
    words = [word for word in tmp_path.glob("vidloom/word-*") if word.read_text() == first]
    if "avx512_vnni" not in pathlib.Path("/proc/cpuinfo").read_text():
        assert first != "int8"
        return
    # Which is the fastest is the machine's: here it is said beforehand.
    (word,) = words
    word.write_text("int8")
    assert chosen(made["int8"]["labels"]) == "int8" and not caplog.messages
    assert chosen(made["labels"], int8=made["int8"] | {"passes": False}) != "int8"
    assert chosen(int8=None) != "int8" and not caplog.messages
    assert chosen(model={"name": "another", "id": "0" * 64}) != "int8"
    assert any("was made with another and not with these weights" in message for message in caplog.messages)


def test_a_folder_of_pictures_is_tied_by_their_names(config, tmp_path):
    from PIL import Image

    config.write_text(config.read_text().replace('"fp32"', '"auto"'))
    (tmp_path / "pictures").mkdir()
    names = [f"shelf {i}.png" for i in range(8)]
    for i, name in enumerate(names):
        Image.fromarray(models.picture(64, 48, i)).save(tmp_path / "pictures" / name)
    with vl.Analyzer({"clip": json.loads(config.read_text())["analyses"]["brands"] | {"min_confidence": 0, "top_k": 9}}) as analyzer:
        seen = [
            {label.class_name: label.raw_score for label in analyzer.analyze_frame(models.picture(64, 48, i))["clip"].labels}
            for i in range(8)
        ]
    there = [[label for label in LABELS if scores[label] > np.median([other[label] for other in seen])] for scores in seen]
    truth = truth_of(tmp_path / "truth.json", [{"file_name": name} for name in [*names, "gone.png"]], [*there, ["cat"]])
    done = calibrate(tmp_path / "pictures", "--truth", truth, "--config", config)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert "truth images without a frame: 1 (gone.png)" in done.stderr
    assert {label: about["positives"] for label, about in made["fitted"]["labels"].items()} == {"cat": 4, "dog": 4}
    assert made["int8"]["frames"] == 8 and not made["int8"]["passes"], "99 % of eight pictures is all of them"


def test_labels_that_the_frames_do_not_tell_are_named(looked, movie, config, tmp_path):
    images = [{"pts": pts} for pts, _ in looked]
    for there, words in (
        ([["dog"] if i % 2 else [] for i in range(25)], "no frame with cat"),
        ([["cat", "dog"] if i % 2 else ["dog"] for i in range(25)], "no frame without dog"),
        (
            [[label for label in LABELS if label not in labels] for labels in labelled(looked, 0)],
            "cosines that are no higher where there is cat, dog",
        ),
    ):
        done = calibrate(
            movie, "--truth", truth_of(tmp_path / "truth.json", images, there), "--config", config, "-o", tmp_path / "out.json"
        )
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert not (tmp_path / "out.json").exists()


def test_a_wrong_command_line_says_what_is_missing(movie, config, tmp_path):
    truth = truth_of(tmp_path / "truth.json", [{"pts": 0}], [["cat"]])
    for arguments, words in (
        (["--config", config], "--truth is missing"),
        (["--truth", truth], "--config is missing"),
        (["--truth", truth, "--config", config, "--analysis", "visual"], "there is brands"),
    ):
        done = calibrate(movie, *arguments)
        assert done.returncode == 2 and words in done.stderr, done.stderr
