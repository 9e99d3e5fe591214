"""Adapters in Python: every form of answer, every way of failing."""

import threading

import numpy as np
import pytest

import vidloom as vl

PICTURE = np.full((48, 64, 3), 90, np.uint8)


def look(adapter, **options):
    return vl.Analyzer({"it": {"adapter": adapter, **options}}).analyze_frame(PICTURE)["it"]


def answering(name, answer, **info):
    vl.adapter(name, **info)(lambda items: [answer for _ in items])
    return look(name)


def test_every_form_of_answer():
    boxes = answering("form.boxes", vl.Detections([[1, 2, 3, 4]], [0.5], class_name=["x"]))
    assert boxes.class_name == ["x"]
    assert answering("form.attributes", {"level": 0.5, "names": "a"}, kind="visual").attributes == {"level": 0.5, "names": "a"}
    labels = answering("form.labels", [("a", 0.75), vl.Label(class_name="b", confidence=0.25), "c"], kind="scene").labels
    assert [(label.class_name, label.confidence) for label in labels] == [("a", 0.75), ("b", 0.25), ("c", None)]
    fixed = answering("form.fixed", [("b", 0.5)], kind="scene", vocabulary=["a", "b"]).labels[0]
    assert (fixed.class_id, fixed.class_name) == (1, "b")
    assert answering("form.numpy", {"level": np.float32(0.5), "many": np.arange(3)}).attributes == {"level": 0.5, "many": [0, 1, 2]}
    partial = answering("form.partial", vl.Detections(partial=True))
    assert partial.status == "degraded" and partial.partial
    empty = answering("form.empty", vl.Detections())
    assert empty.status == "ok" and len(empty) == 0


def test_supervision_answers():
    sv = pytest.importorskip("supervision", reason="the package supervision is not installed")
    answer = sv.Detections(
        xyxy=np.array([[1.0, 2, 30, 40]]), confidence=np.array([0.5]), class_id=np.array([2]), data={"class_name": np.array(["bus"])}
    )
    outcome = answering("form.supervision", answer)
    assert outcome.class_name == ["bus"] and outcome.class_id.tolist() == [2]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "returned None for a picture; return vl.Detections"),
        (3, "returned a int for a picture"),
        ("text", "returned a str for a picture"),
        ([3], "a label is 3"),
        ({"x": object()}, "attribute 'x'"),
        (ValueError("bad picture"), "ValueError: bad picture"),
        ([("catt", 0.5)], "'catt' is not in the vocabulary; did you mean 'cat'"),
    ],
    ids=repr,
)
def test_a_bad_answer_fails_its_item_with_a_sentence(answer, words):
    outcome = answering("bad.answer", answer, vocabulary=["cat"])
    assert outcome.status == "failed" and isinstance(outcome.error, vl.ModelError)
    assert words in str(outcome.error) and "adapter 'bad.answer'" in str(outcome.error), str(outcome.error)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (lambda items: None, "returned None; return a list with one entry per item"),
        (lambda items: {"a": 1}, "returned a dict; return a list"),
        (lambda items: vl.Detections(), "returned a Detections; return a list"),
        (lambda items: [], "returned 0 answers for 1 items; return one per item"),
        (lambda items: [vl.Detections()] * 2, "returned 2 answers for 1 items"),
        (lambda items: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda items: [vl.Detections([[1, 2, 3]])], "Detections.xyxy has shape (1, 3)"),
        (lambda items: exit(3), "SystemExit: 3"),
    ],
)
def test_a_bad_batch_fails_with_a_sentence(answers, words):
    vl.adapter("bad.batch")(answers)
    outcome = look("bad.batch")
    assert outcome.status == "failed" and isinstance(outcome.error, vl.ModelError)
    assert str(outcome.error).startswith("adapter 'bad.batch'") and words in str(outcome.error), str(outcome.error)


def test_a_vidloom_error_keeps_code_and_retryable():
    for error in (vl.Error("queue is full", code="overload", retryable=True, retry_after=2.0), vl.NotBuiltError("no such part")):
        for answers in (lambda items, error=error: [error for _ in items], raising(error)):
            vl.adapter("errors.kept")(answers)
            got = look("errors.kept").error
            assert (type(got), got.code, got.retryable, got.retry_after, str(got)) == (
                type(error),
                error.code,
                error.retryable,
                error.retry_after,
                str(error),
            )


def raising(error):
    def answers(items):
        raise error

    return answers


def test_one_bad_item_of_a_batch_fails_alone():
    seen = []

    @vl.adapter("batch.mixed", max_batch=8, max_wait=0.2)
    def mixed(items):
        seen.append(len(items))
        levels = [int(item.frame.image().numpy()[0, 0, 0]) for item in items]
        return [ValueError(f"picture {level}") if level % 2 else {"level": level} for level in levels]

    pictures = [np.full((8, 8, 3), index, np.uint8) for index in range(16)]
    frames = list(vl.analyze(pictures, "batch.mixed"))
    assert len(frames) == 16
    for index, frame in enumerate(frames):
        outcome = frame["batch.mixed"]
        if index % 2:
            assert f"picture {index}" in str(outcome.error)
        else:
            assert outcome.attributes == {"level": index}
    assert max(seen) <= 8


def test_a_class_takes_options_and_refuses_unknown_ones():
    class Threshold(vl.DetectionAdapter):
        """Marks pictures above a level."""

        def __init__(self, *, level, name="bright"):
            self.level, self.name = level, name

        def info(self):
            return vl.AdapterInfo(kind="scene", pixels="luma")

        def detect(self, items, ctx):
            return [[self.name] if item.frame.luma().mean() > self.level else [] for item in items]

    vl.register_adapter("threshold", Threshold)
    assert [label.class_name for label in look("threshold", level=10).labels] == ["bright"]
    assert look("threshold", level=200, name="x").labels == []
    assert vl.adapters()["threshold"]["summary"] == "Marks pictures above a level."
    with pytest.raises(vl.ConfigError, match="levle.*level"):
        vl.Analyzer({"it": {"adapter": "threshold", "levle": 10}})
    with pytest.raises(vl.ConfigError, match="level"):
        vl.Analyzer({"it": {"adapter": "threshold"}})


def test_load_runs_once_and_state_belongs_to_a_stream():
    calls = []

    class Counting(vl.DetectionAdapter):
        def info(self):
            return vl.AdapterInfo(kind="visual", per_stream_state=True)

        def load(self):
            calls.append("load")

        def new_state(self):
            calls.append("state")
            return {"seen": 0}

        def detect(self, items, ctx):
            for item in items:
                item.state["seen"] += 1
            return [{"seen": item.state["seen"]} for item in items]

    vl.register_adapter("counting", Counting)
    with vl.Analyzer(["counting"]) as analyzer:
        for _ in range(2):
            frames = list(analyzer.analyze([PICTURE] * 4))
            assert [frame["counting"].attributes["seen"] for frame in frames] == [1, 2, 3, 4]
    assert calls == ["load", "state", "state"]


def test_a_broken_class_says_so():
    class NoInfo(vl.DetectionAdapter):
        def info(self):
            return {"kind": "object"}

        def detect(self, items, ctx):
            return []

    class FailsToLoad(vl.DetectionAdapter):
        def load(self):
            raise FileNotFoundError("weights.bin")

        def detect(self, items, ctx):
            return []

    vl.register_adapter("no.info", NoInfo)
    vl.register_adapter("fails.to.load", FailsToLoad)
    for name, words in (
        ("no.info", "info() returned a dict; return vl.AdapterInfo"),
        ("fails.to.load", "adapter 'fails.to.load': FileNotFoundError: weights.bin"),
    ):
        with pytest.raises(vl.ModelError) as caught:
            outcome = look(name)
            raise outcome.error
        assert words in str(caught.value)
    for cls in (object, NoInfo(), 3):
        with pytest.raises(vl.ConfigError):
            vl.register_adapter("x", cls)
    with pytest.raises(vl.ConfigError, match=r"max_bach.*max_batch"):
        vl.adapter("x", max_bach=3)
    with pytest.raises(vl.ConfigError, match="kind"):
        vl.adapter("x", kind="objekt")
    with pytest.raises(vl.ConfigError, match="max_batch"):
        vl.AdapterInfo(max_batch=0)
    with pytest.raises(vl.ConfigError, match="people"):
        vl.register_adapter("people", FailsToLoad)


def test_a_context_says_how_long_there_is():
    seen = []

    @vl.adapter("context.deadline")
    def deadline(items, ctx):
        seen.append((ctx.deadline, ctx.stop_requested))
        return [{} for _ in items]

    look("context.deadline")
    assert seen[0] == (None, False)
    look("context.deadline", deadline=5)
    assert 0 < seen[1][0] <= 5


def test_a_slow_adapter_misses_its_deadline():
    woken = threading.Event()

    @vl.adapter("slow")
    def slow(items):
        woken.wait(10)
        return [{} for _ in items]

    outcome = look("slow", deadline=0.1)
    woken.set()
    assert (outcome.status, outcome.error.code, outcome.error.retryable) == ("failed", "deadline", True)


def test_regions_reach_the_adapter():
    seen = []

    @vl.adapter("regions.finder")
    def finder(items):
        return [vl.Detections([[8, 8, 24, 24]], [0.9], class_name=["part"]) for _ in items]

    @vl.adapter("regions.user")
    def user(items):
        seen.extend(item.regions for item in items)
        return [{} for _ in items]

    analyzer = vl.Analyzer({"finder": {"adapter": "regions.finder"}, "user": {"adapter": "regions.user", "regions_of": "finder"}})
    assert analyzer.analyze_frame(PICTURE)["user"].answered
    assert [tuple(box) for box in seen[0]] == [(8, 8, 24, 24)]


def test_min_confidence_filters_once():
    @vl.adapter("confident", vocabulary=["a", "b"])
    def confident(items):
        return [vl.Detections([[0, 0, 1, 1]] * 3, [0.9, 0.5, 0.1], class_name=["a", "b", "b"]) for _ in items]

    assert look("confident", min_confidence=0.4).class_name == ["a", "b"]
    assert look("confident", min_confidence={"*": 0.95, "b": 0.3}).class_name == ["b"]
    assert len(look("confident", min_confidence=0)) == 3


def test_texts_that_no_utf8_can_say_are_replaced():
    half = "\ud800"

    @vl.adapter("adapters.half", kind="visual", outputs=("attributes", "labels"))
    def halves(items):
        return [{"text": half} if item.frame.pts == 0 else [half] if item.frame.pts == 1 else ValueError(half) for item in items]

    first, second, third = vl.analyze([PICTURE] * 3, "adapters.half", context={"key": half}, stream=f"gate{half}")
    assert first["adapters.half"].attributes == {"text": "?"}
    assert second["adapters.half"].labels[0].class_name == "?"
    assert "ValueError: ?" in str(third["adapters.half"].error)
    assert (first.stream, first.context) == ("gate?", {"key": "?"})
