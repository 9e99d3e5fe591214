"""vidloom.testing: sound things pass, broken ones fail with a sentence."""

import numpy as np
import pytest

import vidloom as vl
from vidloom.testing import check_adapter, check_sink, check_source


class Sound(vl.DetectionAdapter):
    """A box around the left half, twice as sure of bright pictures."""

    def info(self):
        return vl.AdapterInfo(max_batch=4, vocabulary=["half"])

    def detect(self, items, ctx):
        return [
            vl.Detections([[0, 0, item.frame.size[0] / 2, item.frame.size[1]]], [0.5], class_name=["half"], vocabulary=["half"])
            for item in items
        ]


def broken(**methods):
    return type("Broken", (Sound,), methods)


def test_a_sound_adapter_passes():
    check_adapter(Sound)
    check_adapter(Sound())
    check_adapter(
        broken(
            info=lambda self: vl.AdapterInfo(kind="visual", pixels="luma"), detect=lambda self, items, ctx: [{"level": 0.5} for _ in items]
        )
    )


@pytest.mark.parametrize(
    ("adapter", "sentence"),
    [
        (broken(detect=lambda self, items, ctx: [None for _ in items]), "returned None for a picture"),
        (broken(detect=lambda self, items, ctx: [vl.Detections()]), "returned 1 answers for 4 items"),
        (broken(detect=lambda self, items, ctx: [vl.Detections([[0, 0, 999, 1]]) for _ in items]), "inside the picture"),
        (broken(detect=lambda self, items, ctx: [vl.Detections([[0, 0, 1, 1]], [7.0]) for _ in items]), "a confidence is 7"),
        (broken(detect=lambda self, items, ctx: 1 / 0), "ZeroDivisionError"),
        (broken(detect=lambda self, items, ctx: [{"level": 1} for _ in items]), "add 'attributes'"),
        (broken(detect=lambda self, items, ctx: list(reversed(Sound.detect(self, items, ctx)))), "in order"),
        (broken(info=lambda self: {"kind": "object"}), "return vl.AdapterInfo"),
        (broken(load=lambda self: open("/nowhere/weights")), "load() raised FileNotFoundError"),
        (broken(info=lambda self: vl.AdapterInfo(per_stream_state=True)), "new_state() returned None"),
        (broken(__init__=lambda self, model: None), "making it raised TypeError"),
        (object, "it has no info()"),
    ],
)
def test_a_broken_adapter_fails_with_a_sentence(adapter, sentence):
    with pytest.raises(AssertionError) as caught:
        check_adapter(adapter)
    assert "breaks its contract" in str(caught.value) and sentence in str(caught.value), str(caught.value)


class Pictures(vl.Source):
    times = (0, 1, 2)

    def open(self, ctx):
        self.left = list(self.times)
        return vl.SourceInfo(size=(8, 8))

    def read(self):
        return vl.Frame.from_array(np.zeros((8, 8, 3), np.uint8), pts=self.left.pop(0), time_base=(1, 5)) if self.left else vl.End()


def test_sources():
    check_source(Pictures)
    check_source(lambda: vl.open_source("test:frames=5"))
    for members, sentence in (
        ({"times": (0, 2, 1)}, "steps back"),
        ({"times": ()}, "no frame at all"),
        ({"read": lambda self: 3}, "returned a int"),
        ({"open": lambda self, ctx: 3}, "open() returned a int"),
        ({"close": lambda self: 1 / 0}, "close() raised ZeroDivisionError"),
        ({"interrupt": lambda self: 1 / 0}, "interrupt() from another thread raised"),
    ):
        with pytest.raises(AssertionError) as caught:
            check_source(type("Broken", (Pictures,), members))
        assert sentence in str(caught.value), str(caught.value)
    with pytest.raises(AssertionError, match=r"subclass vl.Source"):
        check_source(object)


def test_sinks():
    class Fine(vl.Sink):
        def write(self, result):
            for outcome in result.values():
                if outcome.answered:
                    len(outcome)

    check_sink(Fine)
    for members, sentence in (
        ({"write": lambda self, result: [len(outcome) for outcome in result.values()]}, "write() of a result with the outcomes failed"),
        ({"info": lambda self: 3}, "info() returned a int"),
        ({"close": lambda self, stream: 1 / 0}, "close() raised ZeroDivisionError"),
    ):
        with pytest.raises(AssertionError) as caught:
            check_sink(type("Broken", (Fine,), members))
        assert sentence in str(caught.value), str(caught.value)
