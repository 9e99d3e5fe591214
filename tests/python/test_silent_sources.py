"""A source that stays silent must not hold back Ctrl-C, nor the exception of any other signal handler."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

import vidloom as vl


class TimeIsUp(Exception):
    """What Celery's SoftTimeLimitExceeded is: raised by a handler, no KeyboardInterrupt."""


class Blocking(vl.Source):
    def read(self):
        threading.Event().wait(30)
        return None


def blocking_pictures():
    time.sleep(30)
    yield None


CALLS = {
    "analyze, run": lambda pipe: vl.analyze(pipe, "visual").run(),
    "analyze, loop": lambda pipe: list(vl.analyze(pipe, "visual")),
    "analyze_segment": lambda pipe: vl.Analyzer(["visual"]).analyze_segment(pipe),
    "open_source": lambda pipe: list(vl.open_source(pipe)),
    "probe": lambda pipe: vl.probe(pipe),
    "a source in Python": lambda pipe: vl.analyze(Blocking(), "visual").run(),
    "a generator": lambda pipe: vl.analyze(blocking_pictures(), "visual").run(),
}


@contextlib.contextmanager
def silent_pipe(folder: pathlib.Path, first: bytes = b""):
    """A named pipe whose writer says `first` and then nothing more."""
    path = folder / "silent.ts"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # else opening the other end would wait
    writer = os.open(path, os.O_WRONLY)
    os.set_blocking(writer, False)
    try:
        os.write(writer, first)
        yield path
    finally:
        os.close(reader)
        os.close(writer)


def seconds_to_leave(call, number: int, expected: type[BaseException], lead: float = 0.4) -> float:
    """From the signal, sent `lead` seconds into the call, until `expected` left it."""
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    timer = threading.Timer(lead, send)
    timer.start()
    try:
        with pytest.raises(expected):
            call()
        return time.monotonic() - sent[0]
    finally:
        timer.cancel()
        timer.join()


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_leaves_within_a_fifth_of_a_second(tmp_path, name):
    with silent_pipe(tmp_path) as pipe:
        assert seconds_to_leave(lambda: CALLS[name](pipe), signal.SIGINT, KeyboardInterrupt) < 0.25


def test_it_leaves_also_in_the_middle_of_a_segment(tmp_path, segments):
    half = pathlib.Path(segments[0]).read_bytes()[: 188 * 40]
    with silent_pipe(tmp_path, half) as pipe:
        assert seconds_to_leave(lambda: CALLS["analyze_segment"](pipe), signal.SIGINT, KeyboardInterrupt) < 0.25


def test_the_exception_of_a_handler_leaves_unchanged_and_the_analyzer_goes_on(tmp_path, segments):
    def handler(number, frame):
        raise TimeIsUp

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with silent_pipe(tmp_path) as pipe, vl.Analyzer({"visual": vl.visual(every=0.5)}) as analyzer:
            for stream in (None, "gate"):
                assert seconds_to_leave(lambda: analyzer.analyze_segment(pipe, stream=stream), signal.SIGUSR1, TimeIsUp) < 0.3  # noqa: B023
                report = analyzer.analyze_segment(segments[0], stream=stream)
                assert report.status == "ok" and report.due == 2
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_handler_that_returns_does_not_end_the_wait(tmp_path, segments):
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    path = tmp_path / "pipe.ts"
    os.mkfifo(path)

    def feed():
        data = pathlib.Path(segments[0]).read_bytes()
        with open(path, "wb", buffering=0) as pipe:
            pipe.write(data[: 188 * 20])
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.3)
            pipe.write(data[188 * 20 :])

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        frames = vl.Analyzer(["visual"]).analyze_segment(path).frames
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert len(frames) == 10 and seen == [signal.SIGUSR1]


def test_a_deadline_ends_a_silent_segment(tmp_path):
    with silent_pipe(tmp_path) as pipe:
        begun = time.monotonic()
        with pytest.raises(vl.Error) as caught:
            vl.Analyzer(["visual"]).analyze_segment(pipe, deadline=0.3)
        assert caught.value.code == "deadline" and time.monotonic() - begun < 2


@pytest.mark.parametrize("command", [["analyze", "--detect", "visual", "--jsonl", "-"], ["probe"], ["probe", "--frames"]])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_pip_command_leaves_a_silent_pipe(tmp_path, command, number, code):
    with silent_pipe(tmp_path) as pipe:
        running = subprocess.Popen(
            [sys.executable, "-m", "vidloom", command[0], str(pipe), *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            time.sleep(1.5)  # until it reads; a signal before that ends it as well
            running.send_signal(number)
            _, err = running.communicate(timeout=20)
        finally:
            running.kill()
    assert running.returncode in (code, -number), err
    assert "Traceback" not in err
