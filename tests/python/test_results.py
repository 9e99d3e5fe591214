"""Outcomes, results and reports: columns, mappings, records, pickles."""

import collections.abc
import json
import pickle

import numpy as np
import pytest

import vidloom as vl

PICTURE = np.full((48, 64, 3), 90, np.uint8)


@vl.adapter("results.boxes", max_batch=4, outputs=("detections", "labels", "attributes", "embedding"))
def boxes(items):
    return [
        vl.Detections(
            [[1, 2, 33, 26], [10, 10, 20, 30]],
            [0.9, 0.4],
            class_name=["cat", "dog"],
            raw_score=[3.5, 1.25],
            text=["a", None],
            polygon=[[[1, 2], [33, 2], [33, 26]], None],
            labels=[vl.Label(class_name="zoo", confidence=0.7, margin=0.1), ("park", 0.2)],
            attributes={"colours": [[1, 2, 3], [4, 5, 6]], "level": 0.25, "name": "x", "row": [1.5, 2.5]},
            embedding=[0.6, 0.8],
            tracker_id=[7, -1],
        )
        for _ in items
    ]


@vl.adapter("results.fails")
def fails(items):
    return [ValueError("no good") for _ in items]


@pytest.fixture(scope="module")
def result():
    analyzer = vl.Analyzer({"boxes": {"adapter": "results.boxes"}, "fails": {"adapter": "results.fails"}, "visual": vl.visual()})
    return analyzer.analyze_frame(PICTURE, context={"session_id": "s-17"})


def same_outcome(outcome):
    assert (outcome.status, outcome.answered, outcome.error, outcome.kind, len(outcome)) == ("ok", True, None, "object", 2)
    np.testing.assert_array_equal(outcome.xyxy, np.array([[1, 2, 33, 26], [10, 10, 20, 30]], np.float32))
    np.testing.assert_allclose(outcome.xyxyn, outcome.xyxy / [64, 48, 64, 48], rtol=1e-6)
    assert outcome.xyxy.dtype == outcome.confidence.dtype == outcome.raw_score.dtype == np.float32
    np.testing.assert_allclose(outcome.confidence, [0.9, 0.4])
    np.testing.assert_array_equal(outcome.raw_score, [3.5, 1.25])
    assert outcome.class_id.tolist() == [0, 1] and outcome.class_name == ["cat", "dog"]
    assert outcome.tracker_id.tolist() == [7, -1]
    assert outcome.polygon[0].shape == (3, 2) and outcome.polygon[1] is None
    assert [label.class_name for label in outcome.labels] == ["zoo", "park"]
    assert outcome.labels[0].margin == pytest.approx(0.1) and outcome.labels[1].margin is None
    assert outcome.attributes == {"colours": [[1, 2, 3], [4, 5, 6]], "level": 0.25, "name": "x", "row": [1.5, 2.5]}
    np.testing.assert_allclose(outcome.embedding, [0.6, 0.8])
    cat, dog = outcome
    assert (cat.class_name, cat.confidence, cat.xyxy, cat.tracker_id) == ("cat", pytest.approx(0.9), (1, 2, 33, 26), 7)
    assert cat.xyxyn == pytest.approx((1 / 64, 2 / 48, 33 / 64, 26 / 48)) and dog.tracker_id is None
    assert outcome[1].class_name == outcome[-1].class_name == "dog"
    with pytest.raises(IndexError):
        outcome[2]


def test_columns_and_rows(result):
    same_outcome(result["boxes"])
    trace = result["boxes"].trace
    assert trace.where == "local" and trace.ran > 0


def test_a_failed_outcome_raises_its_error_wherever_an_answer_is_asked(result):
    outcome = result["fails"]
    assert (outcome.status, outcome.answered) == ("failed", False)
    assert isinstance(outcome.error, vl.ModelError) and "adapter 'results.fails': ValueError: no good" in str(outcome.error)
    for ask in (
        len,
        list,
        bool,
        lambda o: o.xyxy,
        lambda o: o.xyxyn,
        lambda o: o.labels,
        lambda o: o.attributes,
        lambda o: o.detections,
        lambda o: o.embedding,
        lambda o: o.partial,
        lambda o: o.class_name,
        lambda o: o.to_supervision(),
    ):
        with pytest.raises(vl.ModelError, match="no good"):
            ask(outcome)


def test_a_result_is_a_mapping(result):
    assert isinstance(result, collections.abc.Mapping)
    assert list(result) == list(result.keys()) == ["boxes", "fails", "visual"]
    assert len(result) == 3 and "boxes" in result and "nothing" not in result and 3 not in result
    assert dict(result.items())["visual"].kind == "visual"
    assert result.get("nothing") is None and result.get("nothing", 5) == 5
    with pytest.raises(KeyError, match="no analysis is named 'boxs'.*'boxes', 'fails', 'visual'"):
        result["boxs"]


def test_an_analysis_that_is_not_due_is_absent_and_says_so():
    frames = list(vl.analyze([PICTURE] * 10, {"often": vl.visual(), "seldom": vl.visual(every=0.2)}))
    assert len(frames) == 10
    assert [("seldom" in frame) for frame in frames] == [True, False, False, False, False] * 2
    with pytest.raises(KeyError, match=r"'seldom' was not due on this frame \(media_time 0.040 s\); due here: 'often'"):
        frames[1]["seldom"]


def test_fields_of_a_result(result):
    assert result.frame_size == (64, 48)
    assert result.context == {"session_id": "s-17"}
    assert result.frame is None and result.segment is None and result.captured_at is None
    assert result.analyzed_at.tzinfo is not None
    assert result.clock == "none" and result.health == "ok"


def test_records(result):
    record = result.to_dict()
    assert record["schema"] == "vidloom/result/v1" and record["type"] == "frame"
    assert record["analyses"]["boxes"]["detections"][0]["class_name"] == "cat"
    assert record["analyses"]["boxes"]["detections"][0]["xyxy"] == [1, 2, 33, 26]
    assert record["analyses"]["fails"]["error"]["code"] == "model"
    assert "detections" not in record["analyses"]["fails"]
    assert json.loads(result.to_json()) == record
    assert result["boxes"].to_dict() == record["analyses"]["boxes"]


def test_legacy_raises_unless_told_to_omit(result):
    with pytest.raises(vl.ModelError, match="no good"):
        result.to_legacy()
    legacy = result.to_legacy(on_failure="omit")
    assert legacy["errors"] == {"fails": "model"}
    assert [entry["label"] for entry in legacy["objects"]][:2] == ["cat", "zoo"]
    assert legacy["objects"][0]["bbox"]["width"] == pytest.approx(0.5)
    assert set(legacy["visual"]) >= {"dominant_colors", "brightness_level"}
    with pytest.raises(vl.ConfigError, match="'raise' or 'omit'"):
        result.to_legacy("skip")


def test_results_pickle_without_their_pixels(movie):
    with vl.analyze(
        movie, {"boxes": {"adapter": "results.boxes"}, "visual": vl.visual()}, max_frames=1, keep_frames=True, context={"a": [1, None]}
    ) as run:
        frame = next(iter(run))
    assert frame.frame.size == (320, 240)
    again = pickle.loads(pickle.dumps(frame))
    assert again.frame is None
    assert again.to_dict() == frame.to_dict()
    assert (again.pts, again.time_base, again.media_time, again.analyzed_at, again.context) == (
        frame.pts,
        frame.time_base,
        frame.media_time,
        frame.analyzed_at,
        {"a": [1, None]},
    )
    np.testing.assert_array_equal(again["boxes"].xyxyn, frame["boxes"].xyxyn)
    with pytest.raises(KeyError, match="no analysis is named"):
        again["nothing"]


def test_outcomes_detections_and_labels_pickle(result):
    same_outcome(pickle.loads(pickle.dumps(result["boxes"])))
    failed = pickle.loads(pickle.dumps(result["fails"]))
    assert failed.status == "failed" and "no good" in str(failed.error)
    detections = pickle.loads(pickle.dumps(result["boxes"].detections))
    assert detections.class_name == ["cat", "dog"] and detections.vocabulary == ["cat", "dog", "zoo", "park"]
    label = vl.Label(3, "x", 0.5, 1.0, 0.25)
    assert pickle.loads(pickle.dumps(label)) == label


def test_rows_traces_and_what_sources_say_pickle_too(result):
    def again(thing):
        return pickle.loads(pickle.dumps(thing))

    for row in (*result["boxes"], *result["boxes"].detections):
        for name in ("xyxy", "xyxyn", "class_id", "class_name", "confidence", "raw_score", "tracker_id", "text"):
            assert getattr(again(row), name) == getattr(row, name)
        assert np.array_equal(again(row).polygon, row.polygon)
    trace = result["boxes"].trace
    assert trace.where == "local" and repr(again(trace)) == repr(trace) and again(trace).ran == trace.ran
    info = vl.analyze("test:frames=2,rate=30000/1001", "visual").info
    assert info.uri.startswith("test:") and info.duration > 0 and info.details["pixel_format"] == "yuv420p"
    names = [name for name in dir(info) if not name.startswith("_")]
    assert {name: getattr(again(info), name) for name in names} == {name: getattr(info, name) for name in names}
    event = again(vl.StreamEvent("gap", "a packet was lost"))
    assert (event.kind, event.detail) == ("gap", "a packet was lost") and isinstance(again(vl.End()), vl.End)


def test_reports_pickle_and_say_what_failed(segments):
    analyzer = vl.Analyzer({"boxes": {"adapter": "results.boxes", "every": 0.5}, "fails": {"adapter": "results.fails", "every": 0.5}})
    report = analyzer.analyze_segment(segments[0], context={"id": 1})
    assert (report.status, report.due, report.answered, report.failed) == ("partial", 2, 0, 2)
    assert report.counts == {"boxes": {"ok": 2}, "fails": {"failed": 2}}
    assert report.context == {"id": 1} and report.segment["uri"] == segments[0]
    again = pickle.loads(pickle.dumps(report))
    assert again.to_dict() == report.to_dict() and again.counts == report.counts
    for one in (report, again):
        with pytest.raises(vl.ModelError, match="no good") as caught:
            one.raise_for_status()
        assert not caught.value.retryable
    assert json.loads(report.to_json())["schema"] == "vidloom/report/v1"
    assert len(report.to_legacy(on_failure="omit")) == 2
    fine = vl.Analyzer(["visual"]).analyze_segment(segments[0])
    fine.raise_for_status()
    assert fine.status == "ok" and fine.due == fine.answered == 10


def test_detections_refuse_what_does_not_fit():
    for arguments, words in (
        ({"xyxy": [[1, 2, 3]]}, ["xyxy", "(N, 4)"]),
        ({"xyxy": [[1, 2, 3, 4]], "confidence": [0.5, 0.5]}, ["confidence", "2", "1 boxes"]),
        ({"xyxy": [[1, 2, 3, 4]], "class_name": ["a", "b"]}, ["class_name"]),
        ({"xyxy": [[1, 2, 3, 4]], "class_name": "a"}, ["class_name"]),
        ({"xyxy": [[1, 2, 3, 4]], "polygon": []}, ["polygon"]),
        ({"xyxy": [[1, 2, 3, 4]] * 2, "class_id": [1, 1], "class_name": ["a", "b"]}, ["class_id 1", "'a'", "'b'"]),
        ({"labels": [3]}, ["label", "3"]),
        ({"labels": ["catt"], "vocabulary": ["cat"]}, ["catt", "did you mean 'cat'"]),
        ({"attributes": {"x": object()}}, ["x", "object"]),
        ({"attributes": {"x": [[1, 2], [3]]}}, ["x", "lengths"]),
        ({"embedding": [[1, 2]]}, ["embedding"]),
    ):
        with pytest.raises(vl.ConfigError) as caught:
            vl.Detections(**arguments)
        for word in words:
            assert word in str(caught.value), str(caught.value)


def test_empty_detections_have_empty_columns():
    empty = vl.Detections()
    assert len(empty) == 0 and empty.xyxy.shape == (0, 4) and empty.class_name == [] and empty.embedding is None
    assert vl.Detections(np.zeros((0, 4))).xyxy.shape == (0, 4)


def test_supervision_round_trip():
    sv = pytest.importorskip("supervision", reason="the package supervision is not installed")
    original = vl.Detections(
        [[1, 2, 33, 26], [10, 10, 20, 30]], [0.9, 0.4], class_name=["cat", "dog"], raw_score=[3.5, 1.25], tracker_id=[7, 8]
    )
    there = original.to_supervision()
    assert isinstance(there, sv.Detections) and len(there) == 2
    assert there.data["class_name"].tolist() == ["cat", "dog"] and there.tracker_id.tolist() == [7, 8]
    back = vl.Detections.from_supervision(there)
    for name in ("xyxy", "confidence", "class_id", "raw_score", "tracker_id"):
        np.testing.assert_array_equal(getattr(back, name), getattr(original, name))
    assert back.class_name == original.class_name
    bare = vl.Detections([[0, 0, 1, 1]]).to_supervision()
    assert bare.confidence is None and bare.class_id is None and bare.tracker_id is None
    assert len(vl.Detections().to_supervision()) == 0
    assert len(vl.Detections.from_supervision(sv.Detections.empty())) == 0
    sparse = sv.Detections(xyxy=np.array([[0, 0, 5, 5]], float), class_id=np.array([63]), data={"class_name": np.array(["laptop"])})
    assert vl.Detections.from_supervision(sparse).class_name == ["laptop"]
