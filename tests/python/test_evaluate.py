"""`vidloom evaluate`: the same figures as pycocotools' COCOeval, and nothing passed over in silence."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
from test_convert import answer, box, converted, failed, frame_record, frames_of, street, vidloom, written  # noqa: F401


def evaluated(results: Path, truth: Path | dict, *arguments) -> dict:
    if isinstance(truth, dict):
        path = results.with_suffix(".truth.json")
        path.write_text(json.dumps(truth))
        truth = path
    run = vidloom("evaluate", results, "--truth", truth, "--json", *arguments)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def coco_eval(truth: dict, detections: list[dict], iou: float) -> dict[str, float | None]:
    """Average precision by class, as pycocotools has it for area=all, maxDets=100."""
    coco_api, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco_api.COCO()
        ground.dataset = copy.deepcopy(truth)
        ground.createIndex()
        evaluation = cocoeval.COCOeval(ground, ground.loadRes(detections), "bbox")
        evaluation.params.iouThrs = np.array([iou])
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]  # IoU, recall, class, area, maxDets
    found = {}
    for k, category in enumerate(evaluation.params.catIds):
        curve = precision[0, :, k, 0, 2]
        found[ground.cats[category]["name"]] = None if (curve == -1).all() else float(curve.mean())
    return found


def results_as_coco(frames: list[dict], truth: dict, analysis: str) -> list[dict]:
    ids = {category["name"]: category["id"] for category in truth["categories"]}
    images = {image["pts"]: image["id"] for image in truth["images"]}
    rows = []
    for frame in frames:
        for found in frame["analyses"][analysis]["detections"]:
            x1, y1, x2, y2 = found["xyxy"]
            row = {"image_id": images[frame["pts"]], "category_id": ids[found["class_name"]], "score": found["confidence"]}
            rows.append(row | {"bbox": [x1, y1, x2 - x1, y2 - y1]})
    return rows


def annotation(number: int, image: int, category: int, bbox: list[float] | None, crowd: int = 0) -> dict:
    entry = {"id": number, "image_id": image, "category_id": category, "iscrowd": crowd}
    return entry if bbox is None else entry | {"bbox": bbox, "area": bbox[2] * bbox[3]}


@pytest.mark.parametrize("iou", [0.5, 0.75, 0.9])
def test_average_precision_of_a_real_street_is_cocos(street, tmp_path, iou):  # noqa: F811
    """A truth made as people make it: converted, boxes moved, some deleted, some added, regions marked as crowds."""
    dice = random.Random(7)
    truth = json.loads(converted(street, "coco", "--analysis", "people"))
    kept = []
    for entry in truth["annotations"]:
        if dice.random() < 0.25:
            continue
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x + dice.gauss(0, 3), y + dice.gauss(0, 3), width * dice.uniform(0.93, 1.07), height * dice.uniform(0.93, 1.07)]
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]
        kept.append(entry)
    for i, image in enumerate(truth["images"][::4]):
        kept.append(annotation(10_000 + i, image["id"], 1, [dice.uniform(0, 700), dice.uniform(0, 400), 60, 120], crowd=i % 5 == 0))
    kept += [annotation(20_000 + i, image["id"], 1, [0, 0, 768, 576], crowd=1) for i, image in enumerate(truth["images"][1::6])]
    truth["annotations"] = kept
    frames = frames_of(street)
    found = evaluated(street, truth, "--iou", iou, "--analysis", "people")
    expected = coco_eval(truth, results_as_coco(frames, truth, "people"), iou)["person"]
    boxes = found["analyses"]["people"]["boxes"]
    assert 0.005 < expected < 0.99
    assert boxes["classes"]["person"]["average_precision"] == pytest.approx(expected, abs=1e-6)
    assert boxes["all"]["average_precision"] == pytest.approx(expected, abs=1e-6)
    assert boxes["all"]["truths"] == sum(not entry["iscrowd"] for entry in kept)
    assert boxes["classes"]["person"]["ignored"] > 0
    total = sum(len(frame["analyses"]["people"]["detections"]) for frame in frames)
    assert boxes["all"]["found"] + boxes["classes"]["person"]["ignored"] == total


def random_set(seed: int, folder: Path) -> tuple[Path, list[dict], dict]:
    """Crowded pictures: equal confidences, overlapping truths, crowds, empty pictures, more than 100 detections of one class in one."""
    dice = random.Random(seed)
    names = ["cat", "dog", "fox", "owl"]
    truth = {"images": [], "annotations": [], "categories": [{"id": 10 - i, "name": name} for i, name in enumerate(names)]}
    records = []
    for i in range(40):
        truths = []
        for _ in range(dice.choice([0, 1, 3, 8])):
            x, y = dice.uniform(0, 150), dice.uniform(0, 60)
            truths.append((dice.choice(names[:3]), [x, y, dice.uniform(5, 50), dice.uniform(5, 40)]))
        for name, bbox in truths:
            category = 10 - names.index(name)
            truth["annotations"].append(annotation(len(truth["annotations"]) + 1, 100 - i, category, bbox, crowd=dice.random() < 0.1))
        detections = []
        for _ in range(130 if i == 3 else dice.choice([0, 2, 6, 12])):
            if truths and dice.random() < 0.7:
                name, (x, y, width, height) = dice.choice(truths)
                x, y = x + dice.gauss(0, 2), y + dice.gauss(0, 2)
                width, height = width * dice.uniform(0.8, 1.2), height * dice.uniform(0.8, 1.2)
            else:
                name, x, y, width, height = dice.choice(names), dice.uniform(0, 150), dice.uniform(0, 60), 20, 20
            if i == 3:
                name = "cat"
            detections.append(box(name, [x, y, x + width, y + height], round(dice.random(), 1), class_id=names.index(name)))
        truth["images"].append({"id": 100 - i, "file_name": f"{i}.jpg", "width": 200, "height": 100, "pts": i})
        records.append(frame_record(i / 10, {"a": answer("object", detections=detections)}))
    dice.shuffle(truth["images"])
    return written(folder / f"{seed}.jsonl", *records), records, truth


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_of_random_sets_is_cocos(tmp_path, seed):
    results, records, truth = random_set(seed, tmp_path)
    iou = [0.3, 0.5, 0.6, 0.75, 0.95, 1.0][seed]
    expected = coco_eval(truth, results_as_coco(records, truth, "a"), iou)
    found = evaluated(results, truth, "--iou", iou)
    classes = found["analyses"]["a"]["boxes"]["classes"]
    assert set(classes) == set(expected) == {"cat", "dog", "fox", "owl"}
    for name, value in expected.items():
        assert classes[name]["average_precision"] == (None if value is None else pytest.approx(value, abs=1e-6)), name
    assert classes["owl"]["truths"] == 0 and classes["owl"]["found"] > 0 and classes["owl"]["recall"] is None
    mean = np.mean([value for value in expected.values() if value is not None])
    assert found["analyses"]["a"]["boxes"]["all"]["average_precision"] == pytest.approx(mean, abs=1e-6)
    assert found["analyses"]["a"]["beyond_100"] == 30
    assert iou > 0.9 or mean > 0.02


def test_the_curve_goes_from_the_surest_to_all_that_was_recorded(tmp_path):
    results, _, truth = random_set(1, tmp_path)
    for name, entry in evaluated(results, truth)["analyses"]["a"]["boxes"]["classes"].items():
        curve = entry["curve"]
        assert len(curve) == len({point["confidence"] for point in curve}) > 5
        assert [point["confidence"] for point in curve] == sorted((point["confidence"] for point in curve), reverse=True)
        assert [point["recall"] for point in curve] == sorted(point["recall"] for point in curve)
        last = curve[-1]
        assert last["precision"] == entry["precision"] == pytest.approx(entry["true_positives"] / entry["found"])
        assert entry["true_positives"] + entry["false_negatives"] == entry["truths"]
        assert entry["true_positives"] + entry["false_positives"] == entry["found"]
        if name != "owl":
            assert last["recall"] == entry["recall"] == pytest.approx(entry["true_positives"] / entry["truths"])
            assert entry["best"]["f1"] == max(point["f1"] for point in curve)
            assert entry["f1"] == pytest.approx(2 * entry["precision"] * entry["recall"] / (entry["precision"] + entry["recall"]))


def test_results_are_their_own_truth(street, tmp_path):  # noqa: F811
    truth = json.loads(converted(street, "coco"))
    found = evaluated(street, truth)
    assert found["images"] == {"truth": 30, "tied": 30, "without_frame": [], "ambiguous": []}
    assert found["frames"] == {"results": 30, "without_image": 0}
    for analysis, name in (("people", "person"), ("motion", "motion")):
        entry = found["analyses"][analysis]["boxes"]["classes"][name]
        assert (entry["precision"], entry["recall"], entry["f1"]) == (1, 1, 1)
        assert entry["truths"] > 50
    assert found["analyses"]["people"]["boxes"]["all"]["average_precision"] == 1
    assert found["analyses"]["motion"]["boxes"]["all"]["average_precision"] is None, "motion has no confidence to rank by"
    assert found["analyses"]["motion"]["boxes"]["classes"]["motion"]["curve"] == []


# ── which image is which frame ───────────────────────────────────────────────────────────────────────────────────────

CAT = answer("object", detections=[box("cat", [0, 0, 10, 10])])


def truth_of(images: list[dict]) -> dict:
    """A cat in each."""
    entries = [annotation(i + 1, image["id"], 1, [0, 0, 10, 10]) for i, image in enumerate(images)]
    return {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "cat"}]}


@pytest.mark.parametrize(
    ("image", "tied"),
    [
        ({"pts": 15}, True),
        ({"pts": 15, "time_base": [1, 10]}, True),
        ({"pts": 15, "time_base": [1, 25]}, False),
        ({"pts": 135_000, "time_base": [1, 90_000], "media_time": 1.5}, True),
        ({"media_time": 1.5003}, True),
        ({"media_time": 1.51}, False),
        ({"pts": 15, "epoch": 1}, False),
        ({"pts": 15, "stream": "another"}, True),  # one stream here and there: its name may be another
        ({"sequence": 15}, True),
        ({"file_name": "s_0_000015.jpg"}, True),
        ({"file_name": "pictures/of a run/s_0_15.png"}, True),
        ({"file_name": "s_1_000015.jpg"}, False),
        ({"file_name": "frame15.jpg"}, False),
        ({}, False),
    ],
)
def test_images_are_tied_by_pts_media_time_or_name(tmp_path, image, tied):
    results = written(tmp_path / "r.jsonl", *(frame_record(i / 10, {"a": CAT}) for i in range(20)))
    sure = {"id": 1, "file_name": "sure.jpg", "pts": 3}
    found = evaluated(results, truth_of([sure, {"id": 2, "file_name": "x.jpg"} | image]))
    assert found["images"]["tied"] == 1 + tied
    without = [entry["id"] for entry in found["images"]["without_frame"]]
    assert without == ([] if tied else [2])
    assert found["frames"] == {"results": 20, "without_image": 19 - tied}
    assert found["analyses"]["a"]["boxes"]["all"]["truths"] == 1 + tied


def test_streams_keep_their_images_apart(tmp_path):
    records = [frame_record(0.5, {"a": CAT}, stream=stream) for stream in ("live/left", "right")]
    results = written(tmp_path / "r.jsonl", *records)
    names = [image["file_name"] for image in json.loads(converted(results, "coco"))["images"]]
    assert names == ["live-left_0_000005.jpg", "right_0_000005.jpg"]
    images = [{"id": i, "file_name": name} for i, name in enumerate([*names, "middle_0_000005.jpg"])]
    found = evaluated(results, truth_of(images))
    assert (found["images"]["tied"], found["frames"]["without_image"]) == (2, 0)
    assert [entry["file_name"] for entry in found["images"]["without_frame"]] == ["middle_0_000005.jpg"]
    found = evaluated(results, truth_of([{"id": 1, "pts": 5}, {"id": 2, "pts": 5, "stream": "right"}]))
    assert [entry["id"] for entry in found["images"]["ambiguous"]] == [1]
    assert found["images"]["tied"] == 1


def test_a_failure_is_neither_right_nor_wrong_and_is_told(tmp_path):
    records = [frame_record(0.0, {"a": CAT}), frame_record(0.1, {"a": failed()}), frame_record(0.2, {"b": CAT})]
    results = written(tmp_path / "r.jsonl", *records)
    truth = truth_of([{"id": i, "pts": i, "file_name": f"{i}.jpg"} for i in range(4)])
    truth["categories"].append({"id": 2, "name": "car"})
    truth["annotations"] += [annotation(9, 0, 2, [1, 1, 5, 5]), annotation(10, 0, 1, None)]
    found = evaluated(results, truth)
    one = found["analyses"]["a"]
    assert (one["images"], one["unanswered"], one["not_due"]) == (1, 1, 1)
    assert (one["boxes"]["all"]["truths"], one["boxes"]["all"]["recall"]) == (1, 1)
    assert found["classes_not_found_by_any"] == {"car": 1}
    assert found["truth_labels_not_compared"] == 1
    run = vidloom("evaluate", results, "--truth", results.with_suffix(".truth.json"))
    assert run.returncode == 0
    for sentence in (
        "3 of 4 truth images are frames of",
        "truth images without a frame: 1 (3.jpg)",
        "a failed on 1 of the truth's images",
        "a was not due on 1 of the truth's images",
        "no analysis here finds the truth's class car (1 times in it)",
        "entries of the truth without a box, which boxes were not compared with: 1",
    ):
        assert sentence in run.stdout
    [line] = [line.split() for line in run.stdout.splitlines() if line.startswith("a  ")]
    assert line[:9] == ["a", "boxes", "cat", "1", "1", "1", "1.000", "1.000", "1.000"]


def test_a_class_the_truth_does_not_know_is_not_called_wrong(tmp_path):
    both = answer("object", detections=[box("cat", [0, 0, 10, 10]), box("cow", [0, 0, 10, 10])])
    results = written(tmp_path / "r.jsonl", frame_record(0.0, {"a": both}))
    found = evaluated(results, truth_of([{"id": 1, "pts": 0}]))["analyses"]["a"]
    assert list(found["boxes"]["classes"]) == ["cat"]
    assert found["classes_not_in_truth"] == ["cow"]


def test_a_class_of_the_vocabulary_that_was_never_seen_counts_as_missed(tmp_path):
    start = {"schema": "vidloom/result/v1", "type": "start", "stream": "s", "analyses": {"a": {"vocabulary": ["cat", "dog"]}}}
    results = written(tmp_path / "r.jsonl", start, frame_record(0.0, {"a": CAT}))
    truth = truth_of([{"id": 1, "pts": 0}])
    truth["categories"].append({"id": 2, "name": "dog"})
    truth["annotations"].append(annotation(2, 1, 2, [0, 0, 5, 5]))
    boxes = evaluated(results, truth)["analyses"]["a"]["boxes"]
    assert (boxes["classes"]["dog"]["recall"], boxes["classes"]["dog"]["average_precision"]) == (0, 0)
    assert boxes["all"] | {"recall": 0.5, "average_precision": 0.5} == boxes["all"]


# ── labels of whole pictures ─────────────────────────────────────────────────────────────────────────────────────────


def brand(name: str, confidence: float | None) -> dict:
    return {"class_id": 0, "class_name": name, "confidence": confidence, "raw_score": 0.3, "margin": 0.1}


def test_labels_are_compared_picture_by_picture(tmp_path):
    given = [[("Nike", 0.9)], [("Nike", 0.8), ("Apple", 0.7)], [("Apple", 0.6)], [("Nike", 0.5)], [], [("Nike", 0.4)]]
    answers = [answer("logo", labels=[brand(*label) for label in labels]) for labels in given]
    records = [frame_record(i / 10, {"brands": one}) for i, one in enumerate(answers)]
    results = written(tmp_path / "r.jsonl", *records)
    truth = json.loads(converted(results, "coco"))
    assert truth["annotations"] == []
    assert {category["name"] for category in truth["categories"]} == {"Nike", "Apple"}
    found = evaluated(results, truth)["analyses"]["brands"]
    assert "boxes" not in found
    assert (found["labels"]["all"]["average_precision"], found["labels"]["all"]["found"]) == (1, 6)

    # As somebody corrected it. Nike: right in 0 and 1, wrong in 3, missed in 4 (a box says that it is there), hidden in 5.
    nike, apple = (next(c["id"] for c in truth["categories"] if c["name"] == name) for name in ("Nike", "Apple"))
    images = truth["images"]
    images[3].pop("labels")
    images[5]["labels"] = [{"category_id": nike, "ignore": 1}]
    truth["annotations"] = [annotation(1, images[4]["id"], nike, [1, 1, 20, 20]), annotation(2, images[0]["id"], apple, None)]
    labels = evaluated(results, truth)["analyses"]["brands"]["labels"]["classes"]
    figures = ("truths", "found", "true_positives", "ignored")
    assert [labels["Nike"][key] for key in figures] == [3, 3, 2, 1]
    assert [labels["Apple"][key] for key in figures] == [3, 2, 2, 0]
    # Nike ranked: right, right, wrong: recall 2/3 at precision 1, so 67 of the 101 recalls are reached.
    assert labels["Nike"]["average_precision"] == pytest.approx(67 / 101)
    assert labels["Nike"]["best"] == {"confidence": 0.8, "precision": 1, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8)}


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("images"), 'it has no list "images"'),
        (lambda t: t["annotations"][0].update(image_id=77), "annotations[0]: image_id 77 is none of the images"),
        (lambda t: t["annotations"][0].update(category_id=5), "annotations[0]: category_id 5"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, 3]), "annotations[0]: bbox has 3 numbers"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, -3, 4]), "annotations[0]: bbox is x, y, width, height"),
        (lambda t: t["annotations"][0].pop("category_id"), "annotations[0]: has no category_id"),
        (lambda t: t["images"].append(t["images"][0]), "images[2]: id 1 stands twice"),
        (lambda t: t["images"].append({"id": 3, "pts": 1}), "the images 2 and 3 are the same frame, at 0.1 s"),
        (lambda t: [image.update(pts=1000 + image["id"]) for image in t["images"]], "none of the 2 images"),
        (lambda t: t["categories"][0].update(id="one"), "categories[0]: id"),
    ],
)
def test_a_truth_that_is_wrong_is_refused_with_a_sentence(tmp_path, change, message):
    results = written(tmp_path / "r.jsonl", frame_record(0.0, {"a": CAT}), frame_record(0.1, {"a": CAT}))
    truth = truth_of([{"id": 1, "pts": 0}, {"id": 2, "pts": 1}])
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    assert vidloom("evaluate", results, "--truth", path).returncode == 0
    change(truth)
    path.write_text(json.dumps(truth))
    run = vidloom("evaluate", results, "--truth", path)
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr and str(path) in run.stderr


def test_usage_errors_and_broken_files_have_their_codes(tmp_path, street):  # noqa: F811
    path = tmp_path / "truth.json"
    converted(street, "coco", "-o", path)
    text = tmp_path / "text.json"
    text.write_text("none")
    for arguments, code, message in (
        ([street], 2, "--truth is missing"),
        ([street, "--truth", path, "--iou", "0"], 2, "--iou 0: use a number above 0"),
        ([street, "--truth", path, "--iou", "50%"], 2, "--iou 50%"),
        ([street, "--truth", path, "--analysis", "peeple"], 2, "--analysis peeple"),
        ([street, "--truth", tmp_path / "none.json"], 2, "none.json: No such file"),
        ([street, "--truth", text], 2, "text.json: JSON, line 1"),
        ([tmp_path / "none.jsonl", "--truth", path], 3, "cannot open"),
        ([path, "--truth", path], 3, "is no results file"),
    ):
        run = vidloom("evaluate", *arguments)
        assert (run.returncode, run.stdout) == (code, ""), run.stderr
        assert message in run.stderr
    torn = tmp_path / "torn.jsonl"
    torn.write_text(street.read_text()[:-3])
    run = vidloom("evaluate", torn, "--truth", path)
    assert run.returncode == 3 and "breaks off" in run.stderr and "1.000" in run.stdout
