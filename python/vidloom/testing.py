"""Contract checks for adapters, sources and sinks of one's own. Each runs the object as Vidloom would and raises AssertionError
with one sentence per broken rule.

>>> from vidloom.testing import check_adapter
>>> check_adapter(MyAdapter)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from . import _vidloom
from ._adapters import AdapterHost, AdapterInfo, DetectionAdapter, Item
from ._sinks import Sink, SinkInfo
from ._sources import Source, SourceHost
from ._vidloom import Detections, End, Frame, SourceInfo, StreamEvent
from .errors import Error

SIZES = ((64, 48), (33, 17), (160, 120))


def check_adapter(adapter: Callable[[], DetectionAdapter] | DetectionAdapter, frames: Iterable[Frame] | None = None) -> None:
    """Checks a DetectionAdapter (the class, a function that makes one, or one not loaded yet).

    Batches of one and of ``max_batch``, pictures of several sizes, colour and gray, regions, a state per stream; columns of equal
    length, boxes inside the picture, confidences 0..1, the same answer for the same picture.
    """
    broken = _Broken(_name(adapter))
    made = _attempt(broken, "making it", lambda: adapter() if callable(adapter) and not isinstance(adapter, DetectionAdapter) else adapter)
    if made is not None:
        pictures = list(frames) if frames is not None else _pictures()
        _adapter_rules(broken, made, pictures)
    broken.raise_all()


def check_source(source: Callable[[], Source] | Source, most_frames: int = 100) -> None:
    """Checks a Source: opens, reads to the end or ``most_frames``, closes twice, opens again; times never step back; interrupt from
    another thread does not fail."""
    broken = _Broken(_name(source))
    made = _attempt(broken, "making it", lambda: source() if callable(source) and not isinstance(source, Source) else source)
    if made is not None:
        if not isinstance(made, Source):
            broken.add(f"it is a {type(made).__name__}; subclass vl.Source")
        else:
            first = _read_source(broken, made, most_frames, "")
            again = _read_source(broken, made, most_frames, "opened a second time, ")
            if first and not again and not broken:
                broken.add("opened a second time, it gave no frame; open() must start anew, or raise")
            _attempt(broken, "interrupt() from another thread", lambda: _elsewhere(made.interrupt))
            _attempt(broken, "close() after interrupt()", made.close)
    broken.raise_all()


def check_sink(sink: Callable[[], Sink] | Sink) -> None:
    """Checks a Sink: ``info``, then for two streams at once open, results (also one whose only answer failed), an event, close twice."""
    broken = _Broken(_name(sink))
    made = _attempt(broken, "making it", lambda: sink() if callable(sink) and not isinstance(sink, Sink) else sink)
    if made is not None:
        if not isinstance(made, Sink):
            broken.add(f"it is a {type(made).__name__}; subclass vl.Sink")
        else:
            info = _attempt(broken, "info()", made.info)
            if info is not None and not isinstance(info, SinkInfo):
                broken.add(f"info() returned a {type(info).__name__}; return vl.SinkInfo(...)")
            results = _results()
            described = SourceInfo(size=(64, 48), duration=1.0)
            for stream in (1, 2):
                _attempt(broken, f"open({stream}, info)", partial(made.open, stream, described))
            for stream in (1, 2):
                for result in results:
                    statuses = ", ".join(outcome.status for outcome in result.values())
                    _attempt(broken, f"write() of a result with the outcomes {statuses}", partial(made.write, result))
                _attempt(broken, "event()", partial(made.event, stream, StreamEvent("gap", "a packet was lost")))
            for call in ("close()", "close(), the second time,"):
                for stream in (1, 2):
                    _attempt(broken, call, partial(made.close, stream))
    broken.raise_all()


class _Broken:
    """The sentences of one check."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        if sentence not in self.sentences:
            self.sentences.append(sentence)

    def __bool__(self) -> bool:
        return bool(self.sentences)

    def raise_all(self) -> None:
        if self.sentences:
            raise AssertionError(f"{self.name} breaks its contract:\n" + "\n".join(f"  - {sentence}" for sentence in self.sentences))


def _name(thing: Any) -> str:
    return getattr(thing, "__name__", type(thing).__name__)


def _attempt(broken: _Broken, what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        broken.add(f"{what} raised {type(error).__name__}: {error}")
        return None


def _pictures() -> list[Frame]:
    import numpy

    frames = []
    for index, (width, height) in enumerate(SIZES * 2):
        ramp = numpy.add.outer(numpy.arange(height), numpy.arange(width)) * (index + 2)
        picture = (ramp % 256).astype(numpy.uint8)
        frames.append(Frame.from_array(picture if index == 1 else numpy.stack([picture, 255 - picture, picture // 2], axis=2), pts=index))
    return frames


def _adapter_rules(broken: _Broken, adapter: Any, pictures: Sequence[Frame]) -> None:
    for method in ("info", "load", "new_state", "detect"):
        if not callable(getattr(adapter, method, None)):
            broken.add(f"it has no {method}(); subclass vl.DetectionAdapter")
            return
    host = AdapterHost(broken.name, adapter)
    _attempt(broken, "load()", host.load)
    info = _attempt(broken, "info()", host.info)
    if not isinstance(info, AdapterInfo):
        return
    if _attempt(broken, "info(), the second time,", host.info) != info:
        broken.add("info() changes between two calls; it must be complete and constant after load()")
    states = [_attempt(broken, "new_state()", host.new_state) if info.per_stream_state else None for _ in pictures]
    if info.per_stream_state and states[0] is None:
        broken.add("per_stream_state is set but new_state() returned None; return an object that remembers the stream")
    ctx = _vidloom.BatchContext()
    alone = [_answers(broken, host, [(frame, state, [])], ctx, info) for frame, state in zip(pictures, states, strict=True)]
    if info.max_batch > 1:
        batch: list[Any] = [(frame, host.new_state() if info.per_stream_state else None, []) for frame in pictures[: info.max_batch]]
        together = _answers(broken, host, batch, ctx, info)
        if not info.per_stream_state and together and all(alone[: len(together)]):
            for index, answer in enumerate(together):
                if _shape(answer) != _shape(alone[index][0]):
                    broken.add(
                        f"picture {index} of a batch of {len(batch)} is answered otherwise than alone; "
                        "answers must belong to their items, in order"
                    )
                    break
    width, height = pictures[0].size
    _answers(broken, host, [(pictures[0], states[0], [(0.0, 0.0, width / 2, height / 2)])], ctx, info)


def _answers(broken: _Broken, host: AdapterHost, batch: list[Any], ctx: Any, info: AdapterInfo) -> list[Any]:
    answers = _attempt(broken, f"detect() of {len(batch)} item{'s' if len(batch) > 1 else ''}", lambda: host.detect(batch, ctx)) or []
    for answer, (frame, _, _) in zip(answers, batch, strict=False):
        if isinstance(answer, BaseException):
            broken.add(f"an item was answered with {type(answer).__name__}: {answer}" if not isinstance(answer, Error) else str(answer))
        else:
            _detections_rules(broken, answer, frame, info)
    return answers


def _detections_rules(broken: _Broken, answer: Detections, frame: Frame, info: AdapterInfo) -> None:
    width, height = frame.size
    for x1, y1, x2, y2 in answer.xyxy.tolist():
        if not (0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height):
            broken.add(
                f"a box is ({x1:g}, {y1:g}, {x2:g}, {y2:g}) in a picture of {width}x{height}; "
                "give display pixels, x1 <= x2, y1 <= y2, inside the picture"
            )
    for confidence in [*answer.confidence.tolist(), *[label.confidence for label in answer.labels if label.confidence is not None]]:
        if not (confidence != confidence or 0 <= confidence <= 1):
            broken.add(f"a confidence is {confidence:g}; use 0 to 1, and raw_score for the adapter's own quantity")
    names = answer.vocabulary or list(info.vocabulary)
    for class_id in answer.class_id.tolist():
        if names and not 0 <= class_id < len(names):
            broken.add(f"class_id {class_id} has no name in a vocabulary of {len(names)}")
    present = {
        "detections": len(answer) > 0,
        "labels": bool(answer.labels),
        "attributes": bool(answer.attributes),
        "embedding": answer.embedding is not None,
    }
    for output, there in present.items():
        if there and output not in (info.outputs or ()):
            broken.add(f"it answers with {output} but info().outputs is {tuple(info.outputs or ())}; add '{output}'")


def _shape(answer: Any) -> Any:
    if not isinstance(answer, Detections):
        return type(answer)
    return (
        [[round(value) for value in row] for row in answer.xyxy.tolist()],
        answer.class_name,
        [label.class_name for label in answer.labels],
        sorted(answer.attributes),
    )


def _read_source(broken: _Broken, source: Source, most_frames: int, when: str) -> int:
    host = SourceHost(source)
    frames = 0
    if _attempt(broken, f"{when}open()", host.open) is None:
        _attempt(broken, f"{when}close()", source.close)
        return 0
    last = -float("inf")
    while frames < most_frames:
        result = _attempt(broken, f"{when}read()", host.read)
        if result is None or isinstance(result, End):
            break
        if isinstance(result, StreamEvent):
            last = -float("inf") if result.kind == "new_epoch" else last
            continue
        frames += 1
        if result.media_time < last:
            broken.add(
                f"{when}media_time steps back from {last:g} s to {result.media_time:g} s; begin a new epoch with StreamEvent('new_epoch')"
            )
        last = result.media_time
    for call in ("close()", "close(), the second time,"):
        _attempt(broken, when + call, source.close)
    if frames == 0 and not broken:
        broken.add(f"{when}it gave no frame at all")
    return frames


def _elsewhere(call: Callable[[], None]) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    if thread.is_alive():
        raise AssertionError("it did not come back within 10 s")
    if raised:
        raise raised[0]


def _results() -> list[Any]:
    import numpy

    from ._adapters import adapter
    from ._analyzer import Analyzer

    calls = iter(range(1_000_000))

    def probe(items: Sequence[Item]) -> list[Any]:
        return [
            Detections([[1, 2, 30, 20]], [0.5], class_name=["thing"]) if next(calls) % 2 == 0 else ValueError("made to fail") for _ in items
        ]

    adapter("vidloom.testing", outputs=("detections",))(probe)
    picture = numpy.full((48, 64, 3), 90, numpy.uint8)
    with Analyzer({"probe": {"adapter": "vidloom.testing"}, "visual": {"adapter": "visual"}}) as analyzer:
        return [analyzer.analyze_frame(picture), analyzer.analyze_frame(picture)]


__all__ = ["check_adapter", "check_sink", "check_source"]
