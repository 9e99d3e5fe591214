"""Analyzer on segments: streams, deadlines, many threads, memory."""

import gc
import os
import threading
import time

import numpy as np
import pytest

import vidloom as vl


def rss_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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

    begun = time.monotonic()
    report = vl.Analyzer(["segments.slow"]).analyze_segment(segments[0], deadline=0.3)
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
    analyzer = vl.Analyzer({"visual": vl.visual(every=0.5), "motion": vl.motion(every=0.5)})
    analyzer.warm_up()
    expected = {path: [frame.to_dict()["pts"] for frame in analyzer.analyze_segment(path).frames] for path in segments}
    work = iter([segments[index % len(segments)] for index in range(1000)])
    lock = threading.Lock()
    done, samples, problems = 0, [], []

    def worker():
        nonlocal done
        while True:
            with lock:
                path = next(work, None)
            if path is None:
                return
            report = analyzer.analyze_segment(path, stream=None)
            answers = [frame.pts for frame in report.frames if frame["visual"].answered and frame["motion"].answered]
            with lock:
                done += 1
                if answers != expected[path] or report.status != "ok":
                    problems.append((path, report))
                if done >= 100 and done % 100 == 0:
                    gc.collect()
                    samples.append((done, rss_bytes(), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))))

    workers = [threading.Thread(target=worker) for _ in range(16)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    assert not problems, problems[:3]
    assert done == 1000
    # From 300 on: 16 threads reach their most concurrent moment, and with it their memory pools, only now and then.
    settled = samples[2:-1]
    slope = np.polyfit([count for count, *_ in settled], [rss for _, rss, *_ in settled], 1)[0]
    assert slope < 1024, (slope, samples)
    tasks = [count for *_, count in settled]
    assert max(tasks) - min(tasks) <= 1, samples
    descriptors = [count for _, _, count, _ in settled]
    assert max(descriptors) - min(descriptors) <= 16, samples
    analyzer.close()
