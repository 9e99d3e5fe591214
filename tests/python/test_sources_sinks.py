"""Sources and sinks in Python."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
from conftest import run_ffmpeg

import vidloom as vl


class Counter(vl.Source):
    """`count` pictures whose level is their number."""

    def __init__(self, count=5, log=None):
        self.count, self.log = count, log if log is not None else []

    def open(self, ctx):
        self.log.append("open")
        self.next = 0
        return vl.SourceInfo(size=(32, 24), duration=self.count / 10)

    def read(self):
        if self.next >= self.count:
            return vl.End()
        self.next += 1
        return vl.Frame.from_array(np.full((24, 32, 3), self.next - 1, np.uint8), pts=self.next - 1, time_base=(1, 10))

    def close(self):
        self.log.append("close")


class Collector(vl.Sink):
    def __init__(self):
        self.calls = []

    def open(self, stream, source):
        self.calls.append(("open", source.size))

    def write(self, result):
        self.calls.append(("write", result.media_time, list(result)))

    def event(self, stream, event):
        self.calls.append(("event", event.kind))

    def close(self, stream):
        self.calls.append(("close",))


def test_a_source_of_ones_own():
    log = []
    run = vl.analyze(Counter(5, log), "visual", keep_frames=True)
    assert run.info.size == (32, 24) and run.info.duration == 0.5
    frames = list(run)
    assert [frame.media_time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3, 4]
    assert [int(frame.frame.image().numpy()[0, 0, 0]) for frame in frames] == [0, 1, 2, 3, 4]
    assert log[0] == "open" and log[-1] == "close" and log.count("open") == 1
    assert [frame.media_time for frame in Counter(3)] == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize("end", [vl.End(), vl.End, None], ids=["End()", "End", "None"])
def test_all_ends_are_ends(end):
    class Short(vl.Source):
        left = 2

        def read(self):
            self.left -= 1
            return np.zeros((8, 8, 3), np.uint8) if self.left >= 0 else end

    assert len(list(vl.analyze(Short(), "visual"))) == 2


def test_events_reach_the_sinks_and_a_new_epoch_counts():
    class Gappy(Counter):
        def read(self):
            if self.next == 2 and not getattr(self, "told", False):
                self.told = True
                return vl.StreamEvent("gap", "two pictures were lost")
            return super().read()

    sink = Collector()
    vl.analyze(Gappy(4), "visual", sinks=[sink]).run()
    kinds = [call[1] for call in sink.calls if call[0] == "event"]
    assert "gap" in kinds


def test_errors_of_a_source_keep_their_kind():
    class Fails(Counter):
        def __init__(self, error, where):
            super().__init__()
            self.error, self.where = error, where

        def open(self, ctx):
            if self.where == "open":
                raise self.error
            return super().open(ctx)

        def read(self):
            raise self.error

    for where in ("open", "read"):
        with pytest.raises(vl.SourceError, match="cable") as caught:
            list(vl.analyze(Fails(vl.SourceError("the cable is out", retryable=True), where), "visual"))
        assert caught.value.retryable
        own = LookupError("mine")
        with pytest.raises(LookupError) as unchanged:
            list(vl.analyze(Fails(own, where), "visual"))
        assert unchanged.value is own


def test_a_bad_return_is_named():
    class Bad(Counter):
        def read(self):
            return 3

    class BadInfo(Counter):
        def open(self, ctx):
            return {"size": (1, 1)}

    with pytest.raises(vl.SourceError, match=r"Bad.read\(\) returned a int"):
        list(vl.analyze(Bad(), "visual"))
    with pytest.raises(vl.SourceError, match=r"BadInfo.open\(\) returned a dict"):
        list(vl.analyze(BadInfo(), "visual"))


def test_a_registered_source_opens_by_its_scheme():
    vl.register_source("counter", lambda uri: Counter(int(uri.split(":")[1])))
    assert len(list(vl.analyze("counter:4", "visual"))) == 4
    vl.register_source("counter", lambda uri, **options: (np.zeros((8, 8, 3), np.uint8) for _ in range(2)))
    assert len(list(vl.analyze("counter:4", "visual"))) == 2
    with pytest.raises(vl.ConfigError):
        vl.register_source("test", Counter)
    with pytest.raises(vl.ConfigError):
        vl.register_source("counter", 3)


def test_a_sink_sees_everything_in_order():
    sink = Collector()
    vl.analyze(Counter(3), "visual", sinks=[sink]).run()
    kinds = [call[0] for call in sink.calls]
    assert kinds[0] == "open" and kinds[-1] == "close" and kinds.count("write") == 3
    assert [call[1] for call in sink.calls if call[0] == "write"] == pytest.approx([0, 0.1, 0.2])
    assert sink.calls[0] == ("open", (32, 24))


def test_a_sink_may_ask_for_pixels_and_every_frame():
    class Painter(Collector):
        def info(self):
            return vl.SinkInfo(every_frame=True, pixels=True)

        def write(self, result):
            self.calls.append(("write", result.frame.size, len(result)))

    sink = Painter()
    vl.analyze(Counter(5), vl.visual(every=10), sinks=[sink]).run()
    writes = [call for call in sink.calls if call[0] == "write"]
    assert len(writes) == 5 and all(size == (32, 24) for _, size, _ in writes)
    assert [count for _, _, count in writes] == [1, 0, 0, 0, 0]


def test_exceptions_of_a_sink_leave_and_it_is_closed():
    class Fails(Collector):
        def __init__(self, error):
            super().__init__()
            self.error = error

        def write(self, result):
            raise self.error

    for error in (vl.OutputError("the disk is full"), LookupError("mine"), SystemExit(7)):
        sink = Fails(error)
        with pytest.raises(type(error)) as caught:
            vl.analyze(Counter(3), "visual", sinks=[sink]).run()
        assert str(caught.value) == str(error)
        assert sink.calls[-1] == ("close",)


def test_a_registered_sink_opens_by_its_name():
    made = []

    def factory(uri):
        made.append((uri, Collector()))
        return made[-1][1]

    vl.register_sink("collect", factory)
    vl.analyze(Counter(2), "visual", sinks=["collect:here", "null"]).run()
    assert made[0][0] == "collect:here"
    assert [call[0] for call in made[0][1].calls].count("write") == 2
    with pytest.raises(vl.ConfigError, match="colect"):
        vl.analyze(Counter(2), "visual", sinks=["colect:here"])
    for later in ("hls:out/live", "webhook:http://localhost"):
        with pytest.raises(vl.NotBuiltError):
            vl.analyze(Counter(2), "visual", sinks=[later])


def test_pictures_of_a_file_by_time_and_by_index(tmp_path):
    clip = tmp_path / "clip.ts"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=2", "-c:v", "libx264", "-g", "10", "-bf", "2", clip)
    film = list(vl.open_source(clip))
    assert len(film) == 50
    source = vl.open_source(clip)
    order = [31, 4, 4, 49, 0]
    for asked in (source.frames_at([film[index].media_time for index in order]), source.frames_at(indices=order)):
        assert [frame.pts for frame in asked] == [film[index].pts for index in order]
        assert [frame.sequence for frame in asked] == order
        assert all(np.array_equal(frame.luma(), film[index].luma()) for frame, index in zip(asked, order, strict=True))
    assert source.read().sequence == 0, "reading goes on from where it stood"
    with pytest.raises(vl.ConfigError, match=r"99\.0+ s is outside the film, which runs from 1\.4"):
        source.frames_at([1.5, 99])
    with pytest.raises(vl.ConfigError, match="index 50 is outside the film, which has 50 pictures"):
        source.frames_at(indices=[50])
    with pytest.raises(vl.ConfigError, match="give one of them"):
        source.frames_at()
    with pytest.raises(vl.ConfigError, match="negative"):
        source.frames_at(indices=[-1])
    source.close()


def test_pictures_of_a_source_of_ones_own_by_time_and_by_index():
    level = lambda frame: int(frame.image().numpy()[0, 0, 0])  # noqa: E731
    assert [level(frame) for frame in Counter(5).frames_at([0.3, 0.0, 0.15, 0.3])] == [3, 0, 2, 3]
    assert [level(frame) for frame in Counter(5).frames_at(indices=[4, 4, 1])] == [4, 4, 1]
    with pytest.raises(vl.ConfigError, match=r"7\.0 s is outside the film"):
        Counter(5).frames_at([7])
    with pytest.raises(vl.ConfigError, match="index 5 is outside the film"):
        Counter(5).frames_at(indices=[5])


def test_names_that_are_no_text_are_files_all_the_same(movie, tmp_path):
    odd = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"gate\xff.mp4"))
    shutil.copy(movie, odd)
    lines = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"out\xff.jsonl"))
    assert len(list(vl.analyze(odd, "visual", max_frames=2, jsonl=lines))) == 2
    with open(lines, encoding="utf-8") as file:
        assert [json.loads(line)["type"] for line in file] == ["start", "frame", "frame", "end"]
    report = vl.Analyzer({"visual": {"every": 1}}).analyze_segment(odd)
    assert report.status == "ok" and report.stream == "gate\ufffd"
    assert pickle.loads(pickle.dumps(report)).segment["uri"].endswith("gate\ufffd.mp4")
    assert vl.probe(odd).frame_size == (320, 240)
    assert next(iter(vl.open_source(odd))).size == (320, 240)
    with pytest.raises(vl.SourceError, match="gone"):
        vl.analyze(odd + "gone", "visual")


def test_a_registered_source_is_named_after_its_text(tmp_path):
    vl.register_source("named", lambda uri: [np.zeros((48, 64, 3), np.uint8)] * 2)
    lines = tmp_path / "out.jsonl"
    assert [frame.stream for frame in vl.analyze("named://gate?token=secret", "visual", jsonl=lines)] == ["gate"] * 2
    assert json.loads(lines.read_text().splitlines()[0])["source"] == "named://gate?token=***"


def test_a_sink_may_want_each_answer_alone():
    told = []

    class Each(vl.Sink):
        def info(self):
            return vl.SinkInfo(each=True)

        def write(self, result):
            told.append((result.sequence, *result))

    vl.analyze([np.zeros((48, 64, 3), np.uint8)] * 2, ["visual", "motion"], sinks=[Each()]).run()
    assert sorted(told) == [(0, "motion"), (0, "visual"), (1, "motion"), (1, "visual")]
