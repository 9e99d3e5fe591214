"""Analyzer on segments: streams, deadlines, many threads, memory."""

import ctypes
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vidloom as vl


def rss_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def allocated_bytes():
    """What malloc has given out and not got back, in all its arenas (glibc 2.33 and newer)."""

    class Mallinfo2(ctypes.Structure):
        _fields_ = [
            (name, ctypes.c_size_t)
            for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
        ]

    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo2
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd


def test_segments_start_where_their_clock_does(segments):
    analyzer = vl.Analyzer({"visual": vl.visual(every=0.5)})
    times = [frame.media_time for path in segments for frame in analyzer.analyze_segment(path).frames]
    gaps = np.diff(times)
    assert len(times) == 8 and 10 <= times[0] < 12
    assert (abs(gaps - 0.5) <= 0.11).all(), times


def test_a_named_stream_goes_on_within_a_process(segments):
    class Counting(vl.DetectionAdapter):
        def info(self):
            return vl.AdapterInfo(kind="visual", per_stream_state=True)

        def new_state(self):
            return [0]

        def detect(self, items, ctx):
            for item in items:
                item.state[0] += 1
            return [{"seen": item.state[0]} for item in items]

    vl.register_adapter("segments.counting", Counting)
    with vl.Analyzer(["segments.counting"]) as analyzer:
        named = [analyzer.analyze_segment(path, stream="gate").frames[-1]["segments.counting"].attributes["seen"] for path in segments]
        assert named == [10, 20, 30, 40]
        alone = [analyzer.analyze_segment(path).frames[-1]["segments.counting"].attributes["seen"] for path in segments]
        assert alone == [10, 10, 10, 10]


def test_a_missing_segment_raises():
    with pytest.raises(vl.SourceError, match="gone.ts"):
        vl.Analyzer(["visual"]).analyze_segment("/nowhere/gone.ts")


def test_a_deadline_ends_the_call(segments):
    woken = threading.Event()

    @vl.adapter("segments.slow")
    def slow(items):
        woken.wait(10)
        return [{} for _ in items]

    analyzer = vl.Analyzer(["segments.slow"])
    begun = time.monotonic()
    report = analyzer.analyze_segment(segments[0], deadline=0.3)
    assert time.monotonic() - begun < 2
    woken.set()
    assert report.status == "failed"
    with pytest.raises(vl.Error) as caught:
        report.raise_for_status()
    assert caught.value.code == "deadline" and caught.value.retryable


def test_only_names_analyses(segments):
    analyzer = vl.Analyzer(["visual", "motion"])
    report = analyzer.analyze_segment(segments[0], only=["motion"])
    assert set(report.counts) == {"motion"}
    assert set(analyzer.analyze_segment(segments[0], only="visual").counts) == {"visual"}
    with pytest.raises(vl.ConfigError, match="vizual"):
        analyzer.analyze_segment(segments[0], only=["vizual"])


def test_a_closed_analyzer_says_so(segments):
    analyzer = vl.Analyzer(["visual"])
    analyzer.warm_up()
    analyzer.close()
    analyzer.close()
    with pytest.raises(vl.Error, match="closed"):
        analyzer.analyze_segment(segments[0])


def test_sixteen_threads_a_thousand_segments(segments):
    """Everything is answered; memory, files and threads stay where they were. What the allocator has given out must not grow; RSS
    beside it swings by what 16 threads happen to leave in their pools, so it gets a bound instead of a slope."""
    samples = []
    with vl.Analyzer({"visual": vl.visual(every=0.5), "motion": vl.motion(every=0.5)}) as analyzer, ThreadPoolExecutor(16) as pool:
        expected = {path: [frame.pts for frame in analyzer.analyze_segment(path).frames] for path in segments}
        assert all(len(times) == 2 for times in expected.values())
        for _ in range(10):
            paths = [segments[index % len(segments)] for index in range(100)]
            for path, report in zip(paths, pool.map(analyzer.analyze_segment, paths), strict=True):
                assert report.status == "ok", report
                assert [frame.pts for frame in report.frames if frame["visual"].answered and frame["motion"].answered] == expected[path]
            del report
            gc.collect()
            samples.append((allocated_bytes(), rss_bytes(), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))))
    allocated, resident, descriptors, tasks = zip(*samples[1:], strict=True)
    slope = np.polyfit(np.arange(len(allocated)) * 100, allocated, 1)[0]
    assert slope < 1024, (slope, samples)
    assert max(resident) - resident[0] < 16e6, samples
    assert max(descriptors) == min(descriptors) and max(tasks) == min(tasks), samples
