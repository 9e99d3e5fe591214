"""analyze and Run: iteration, outputs, ends of all kinds."""

import gc
import json
import os
import signal
import threading
import time

import numpy as np
import pytest

import vidloom as vl

PICTURE = np.full((48, 64, 3), 90, np.uint8)


def pictures(count):
    return [np.full((48, 64, 3), index, np.uint8) for index in range(count)]


def endless(log):
    try:
        index = 0
        while True:
            yield np.full((48, 64, 3), index % 256, np.uint8)
            index += 1
    finally:
        log.append("closed")


def threads():
    return len(os.listdir("/proc/self/task"))


def files():
    return len(os.listdir("/proc/self/fd"))


def test_the_quick_start(vtest):
    seen = []
    for frame in vl.analyze(vtest, "people", every=0.5, end=2.0):
        seen.append((frame.media_time, len(frame["people"])))
    assert [time for time, _ in seen] == [0.0, 0.5, 1.0, 1.5]
    assert sum(count for _, count in seen) >= 4


def test_each_frame_comes_once_and_in_order(movie):
    frames = list(vl.analyze(movie, "visual"))
    assert [frame.sequence for frame in frames] == list(range(50))
    assert [frame.media_time for frame in frames] == pytest.approx([index / 25 for index in range(50)], abs=1e-6)
    assert all(frame.frame_size == (320, 240) and frame["visual"].status == "ok" for frame in frames)


def test_start_end_max_frames(movie):
    assert [f.media_time for f in vl.analyze(movie, "visual", start=0.4, end=0.6)] == pytest.approx([0.4, 0.44, 0.48, 0.52, 0.56])
    assert len(list(vl.analyze(movie, "visual", max_frames=7))) == 7


def test_run_gives_a_summary(movie, tmp_path):
    summary = vl.analyze(movie, ["visual", "motion"], every=0.5, jsonl=tmp_path / "out.jsonl").run()
    assert summary.frames == 50 and summary.analyzed == 4 and summary.exit_code == 0
    assert summary.counts == {"visual": {"ok": 4}, "motion": {"ok": 4}}
    assert "50 frames" in str(summary) and "4 ok" in str(summary)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["start", "frame", "frame", "frame", "frame", "end"]


def test_an_existing_output_is_refused_before_work_starts(movie, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("mine\n")
    with pytest.raises(vl.OutputError, match="out.jsonl"):
        vl.analyze(movie, "visual", jsonl=path)
    assert path.read_text() == "mine\n"
    vl.analyze(movie, "visual", jsonl=path, overwrite=True, max_frames=1).run()
    assert json.loads(path.read_text().splitlines()[0])["type"] == "start"


def test_a_run_that_cannot_begin_leaves_no_output(tmp_path):
    with pytest.raises(vl.SourceError, match="missing.mp4"):
        vl.analyze(tmp_path / "missing.mp4", "visual", jsonl=tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_failures_count_in_the_exit_code(movie):
    @vl.adapter("run.fails")
    def fails(items):
        raise RuntimeError("broken")

    summary = vl.analyze(movie, "run.fails", max_frames=3).run()
    assert summary.exit_code == 1 and summary.counts == {"run.fails": {"failed": 3}}


def test_leaving_the_loop_closes_it():
    log = []
    run = vl.analyze(endless(log), "visual")
    for _ in run:
        break
    assert log == ["closed"]
    with pytest.raises(vl.Error, match="over"):
        next(iter(run))

    log.clear()
    with pytest.raises(ZeroDivisionError):
        for _ in vl.analyze(endless(log), "visual"):
            raise ZeroDivisionError
    assert log == ["closed"]

    log.clear()
    with vl.analyze(endless(log), "visual"):
        pass
    assert log == ["closed"]

    log.clear()
    results = iter(vl.analyze(endless(log), "visual"))
    next(results)
    del results
    gc.collect()
    assert log == ["closed"]

    log.clear()
    run = vl.analyze(endless(log), "visual")
    del run
    gc.collect()


def test_nothing_is_left_behind(movie):
    vl.analyze(movie, "visual").run()
    gc.collect()
    threads_before, files_before = threads(), files()
    for _ in range(20):
        for _ in vl.analyze(movie, ["visual", "motion"]):
            break
    gc.collect()
    deadline = time.monotonic() + 5
    while threads() > threads_before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() <= threads_before and files() <= files_before


def test_stop_ends_it_from_another_thread():
    log = []
    run = vl.analyze(endless(log), "visual")
    got_some = threading.Event()

    def stop():
        got_some.wait(10)
        run.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    count = 0
    for _ in run:
        count += 1
        got_some.set()
    thread.join()
    assert count >= 1 and log == ["closed"]
    assert run.summary.counts["visual"]["ok"] >= count


def test_two_iterations_of_one_run_are_an_error():
    run = vl.analyze(pictures(3), "visual")
    assert len(list(run)) == 3
    with pytest.raises(vl.Error, match="call analyze"):
        list(run)
    with pytest.raises(vl.Error, match="call analyze"):
        run.run()


def test_arrays_are_timed_by_rate():
    frames = list(vl.analyze(pictures(5), "visual", rate=10))
    assert [frame.media_time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [frame.pts for frame in frames] == [0, 1, 2, 3, 4] and frames[0].time_base == (1, 10)
    ntsc = list(vl.analyze(pictures(3), "visual", rate=30000 / 1001))
    assert ntsc[0].time_base == (1001, 30000)
    own = [vl.Frame.from_array(picture, pts=index * 3, time_base=(1, 30)) for index, picture in enumerate(pictures(3))]
    assert [frame.media_time for frame in vl.analyze(own, "visual")] == pytest.approx([0, 0.1, 0.2])
    gray = list(vl.analyze((picture[..., 0] for picture in pictures(3)), "visual"))
    assert len(gray) == 3 and gray[0].frame_size == (64, 48)
    stack = np.stack(pictures(4))
    assert len(list(vl.analyze(stack, "visual"))) == 4


def test_keep_frames_gives_the_picture():
    frames = list(vl.analyze(pictures(3), "visual", keep_frames=True))
    for index, frame in enumerate(frames):
        assert (frame.frame.image().numpy() == index).all()
    assert next(iter(vl.analyze(pictures(1), "visual"))).frame is None


def test_an_exception_of_a_generator_leaves_unchanged():
    class Mine(Exception):
        pass

    problem = Mine("from inside")

    def broken():
        yield PICTURE
        yield PICTURE
        raise problem

    seen = []
    run = vl.analyze(broken(), "visual")
    with pytest.raises(Mine) as caught:
        for frame in run:
            seen.append(frame.sequence)
    assert caught.value is problem
    assert seen == [0, 1], "what came before it has been given"
    assert run.summary.counts == {"visual": {"ok": 2}} and "over" in repr(run)


def test_an_interruption_inside_a_source_waits_for_no_result():
    class SoftTimeLimitExceeded(Exception):
        pass

    def handler(number, frame):
        raise SoftTimeLimitExceeded

    def interrupted(how):
        yield PICTURE
        how()

    def by_key():
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for how, kind in ((by_key, KeyboardInterrupt), (lambda: signal.raise_signal(signal.SIGUSR1), SoftTimeLimitExceeded)):
            release, waited = threading.Event(), []

            def sleeps(items, release=release, waited=waited):
                waited.append(release.wait(20))
                return [{} for _ in items]

            name = f"run.sleeps.{kind.__name__}"
            vl.adapter(name)(sleeps)
            try:
                with pytest.raises(kind):
                    list(vl.analyze(interrupted(how), name))
                assert not waited
            finally:
                release.set()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_bad_picture_in_the_middle_is_named():
    with pytest.raises(vl.ConfigError, match="float64"):
        list(vl.analyze([PICTURE, np.zeros((4, 4, 3))], "visual"))


def test_missing_and_empty_files_are_source_errors(tmp_path):
    with pytest.raises(vl.SourceError, match="nothing.mp4"):
        vl.analyze(tmp_path / "nothing.mp4", "visual")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    for name in ("empty.mp4", "text.mp4"):
        with pytest.raises(vl.SourceError) as caught:
            list(vl.analyze(tmp_path / name, "visual"))
        assert isinstance(caught.value, OSError) and caught.value.code in ("source", "decode")


def test_context_and_stream_are_echoed(movie):
    frame = next(iter(vl.analyze(movie, "visual", stream="gate", context={"camera": 3})))
    assert frame.stream == "gate" and frame.context == {"camera": 3}
    assert frame.to_dict()["context"] == {"camera": 3}


def test_open_source_iterates_frames(movie):
    frames = list(vl.open_source(movie))
    assert len(frames) == 50 and frames[0].size == (320, 240)
    assert [frame.sequence for frame in frames] == list(range(50))
    with vl.open_source("test:frames=10") as source:
        assert sum(1 for _ in source) == 10
    results = list(vl.analyze(vl.open_source("test:frames=5"), "visual"))
    assert len(results) == 5
    with pytest.raises(vl.ConfigError, match="framez"):
        vl.open_source("test:", framez=3)
    before = files()
    for _ in vl.open_source(movie):
        break
    assert files() == before


def test_probe(movie):
    info = vl.probe(movie)
    assert (info.size, info.codec, info.live) == ((320, 240), "h264", False)
    assert info.duration == pytest.approx(2.0, abs=0.01)
    assert info.to_dict()["frame_size"] == [320, 240]
    with pytest.raises(vl.SourceError):
        vl.probe("/nowhere/nothing.mp4")


def test_progress_goes_to_stderr_only_when_asked(movie, capfd):
    vl.analyze(movie, "visual").run()
    assert capfd.readouterr() == ("", "")
    vl.analyze(movie, "visual", progress=True).run()
    out, err = capfd.readouterr()
    assert out == "" and "results" in err


def interrupt_after(seconds):
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_ctrl_c_leaves_within_a_fifth_of_a_second_while_an_adapter_sleeps():
    begun, woken = threading.Event(), threading.Event()

    @vl.adapter("run.sleeps")
    def sleeps(items):
        begun.set()
        woken.wait(20)
        return [{} for _ in items]

    sent = []

    def press():
        begun.wait(10)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        try:
            list(vl.analyze(pictures(3), "run.sleeps"))
        except KeyboardInterrupt:
            left = time.monotonic()
            raise
    thread.join()
    woken.set()
    assert left - sent[0] < 0.25


def test_an_exception_of_a_signal_handler_leaves_unchanged(movie):
    class SoftTimeLimitExceeded(Exception):
        pass

    begun = threading.Event()

    @vl.adapter("run.waits")
    def waits(items):
        begun.set()
        time.sleep(0.5)
        return [{} for _ in items]

    def handler(number, frame):
        raise SoftTimeLimitExceeded("time is up")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for call in (
            lambda: list(vl.analyze(pictures(3), "run.waits")),
            lambda: vl.Analyzer(["run.waits"]).analyze_frame(PICTURE),
            lambda: vl.Analyzer(["run.waits"]).analyze_segment(movie),
        ):
            begun.clear()
            thread = threading.Thread(target=lambda: (begun.wait(10), os.kill(os.getpid(), signal.SIGUSR1)))
            thread.start()
            with pytest.raises(SoftTimeLimitExceeded, match="time is up"):
                call()
            thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_messages_reach_logging(tmp_path, caplog):
    (tmp_path / "broken.ts").write_bytes(b"\x47" * 188 * 50)
    with caplog.at_level("DEBUG", logger="vidloom"):
        with pytest.raises(vl.SourceError):
            list(vl.analyze(tmp_path / "broken.ts", "visual"))
        list(vl.analyze(pictures(1), "visual"))
    assert all(record.name.startswith("vidloom") for record in caplog.records)
