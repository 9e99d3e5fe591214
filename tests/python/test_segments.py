"""Analyzer on segments: streams, deadlines, many threads, memory."""

import json
import os
import threading
import time

import numpy as np
import pytest

import vidloom as vl


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


SOAK = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
import vidloom as vl

def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

def settled():
    # Replicas take their streams' memory down a moment after the last answer: the least of a few looks.
    looks = []
    for _ in range(5):
        looks.append(resident_kib())
        time.sleep(0.02)
    return min(looks)

names, blocks, paths = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3:]
samples = []
with vl.Analyzer({name: getattr(vl, name)(every=0.5) for name in names}) as analyzer, ThreadPoolExecutor(16) as pool:
    expected = {path: [frame.pts for frame in analyzer.analyze_segment(path).frames] for path in paths}
    assert all(len(times) == 2 for times in expected.values()), expected
    for _ in range(blocks):
        block = [paths[index % len(paths)] for index in range(100)]
        for path, report in zip(block, pool.map(analyzer.analyze_segment, block), strict=True):
            assert report.status == "ok", report
            assert [frame.pts for frame in report.frames if all(frame[name].answered for name in names)] == expected[path]
        del report
        samples.append((settled(), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))))
print(json.dumps(samples))
"""


@pytest.mark.parametrize("analyses", ["visual", "motion", "motion,visual"])
@pytest.mark.parametrize("thread_caches", [False, True])
def test_sixteen_threads_two_thousand_segments(python, segments, analyses, thread_caches):
    """Every result is there; memory (VmRSS), open files and threads stay where they are after the first hundred.

    In a process of its own, since the heap of this one depends on which tests ran before. The slope is Theil's and Sen's,
    the median of those between all pairs of samples, which one sample that caught a page more does not tilt. Without glibc's
    caches of freed blocks, one for each thread, a leak could not hide behind their filling up.
    """
    tunables = {} if thread_caches else {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    blocks = 20  # a sample is half a MB more or less: two thousand segments make the slope certain
    done = python(SOAK, analyses, str(blocks), *segments, timeout=300, env={**os.environ, **tunables})
    assert done.returncode == 0, done.stderr
    resident, descriptors, tasks = (np.array(column) for column in zip(*json.loads(done.stdout), strict=True))
    first, second = np.triu_indices(len(resident), 1)
    slope = np.median((resident[second] - resident[first]) / ((second - first) * 100.0))
    assert slope < 1, (slope, resident)  # KiB a segment
    assert max(resident) - resident[0] < 4 * 1024, resident
    assert len(set(descriptors)) == 1 and len(set(tasks)) == 1, (descriptors, tasks)
