"""examples/celery_worker with CLIP: a real worker, real Redis, children that end, are stopped and are killed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import run_ffmpeg

import vidloom as vl

models = pytest.importorskip("clip_models")
celery = pytest.importorskip("celery")
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "celery_worker"
KILLS = int(os.environ.get("VIDLOOM_TEST_KILLS", "4"))


@contextlib.contextmanager
def ended(process: subprocess.Popen):
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A Redis of our own, on a port that was free."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    folder = tmp_path_factory.mktemp("redis")
    with ended(subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, text=True)) as server:
        for line in server.stdout:
            if "eady to accept connections" in line:
                break
        assert server.poll() is None
        yield f"redis://127.0.0.1:{port}/7"


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> pathlib.Path:
    model = models.make_model(tmp_path_factory.mktemp("clip"))
    brands = {"adapter": "clip", "kind": "logo", "model": str(model.folder), "precision": "fp32", "every": 0.25, "tiles": 24}
    brands |= {"labels": ["Apple", "Google", "Nike"], "negatives": ["an empty street"], "embedding": True, "min_confidence": 0}
    path = model.folder / "analyses.json"
    path.write_text(json.dumps({"version": 1, "analyses": {"brands": brands}}))
    return path


@pytest.fixture(scope="module")
def worker(broker, config, tmp_path_factory):
    """The example as its README starts it: (Popen, a client's app)."""
    folder = tmp_path_factory.mktemp("worker")
    settings = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": broker, "VIDLOOM_CONFIG": str(config), "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "celery", "--app", "tasks", "--workdir", str(EXAMPLE), "worker", "--concurrency", "2"]
    command += ["--max-tasks-per-child", "3", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    app = celery.Celery("client", broker=broker, backend=broker)
    with open(folder / "log", "w") as log:
        with ended(subprocess.Popen(command, env={**os.environ, **settings}, cwd=folder, stdout=log, stderr=subprocess.STDOUT)) as process:
            yield process, app
    print((folder / "log").read_text()[-4000:])


def send(app, path, **options):
    return app.send_task("tasks.process_segment", (str(path), None), **options)


def answers(report: dict) -> list:
    """What was found where; not how long it took."""
    found = []
    for frame in report["frames"]:
        brands = frame["analyses"]["brands"]
        assert brands["status"] == "ok" and len(brands["labels"]) == 3 and brands["detections"]
        found.append([frame["pts"], brands["labels"], brands["detections"], brands.get("embedding")])
    return found


@pytest.fixture(scope="module")
def expected(config, segments):
    with vl.Analyzer(config) as analyzer:
        found = {path: answers(analyzer.analyze_segment(path).to_dict()) for path in segments}
    assert all(len(frames) == 4 for frames in found.values())
    return found


def test_segments_through_the_queue_are_answered_as_in_process(worker, segments, expected):
    """24 segments, three to a child: children are replaced all along."""
    _, app = worker
    sent = [(path, send(app, path)) for path in segments * 6]
    for path, answer in sent:
        report = answer.get(timeout=120)
        assert report["schema"] == "vidloom/report/v1" and report["status"] == "ok"
        assert answers(report) == expected[path]


def test_the_soft_time_limit_ends_native_work(worker, vtest, segments, tmp_path):
    """More parts of pictures in C++ than any machine sees in a second: the signal comes through all the same, and the child goes on
    with the next segment."""
    _, app = worker
    long = tmp_path / "long.avi"
    run_ffmpeg("-stream_loop", 30, "-i", vtest, "-c", "copy", long)
    begun = time.monotonic()
    with pytest.raises(celery.exceptions.SoftTimeLimitExceeded):
        send(app, long, soft_time_limit=1, time_limit=60).get(timeout=90)
    assert time.monotonic() - begun < 15, "it ended by itself or by the hard limit"
    assert send(app, segments[0]).get(timeout=60)["status"] == "ok"


def test_killed_children_lose_no_segment(worker, segments, expected):
    """VIDLOOM_TEST_KILLS=20 for longer."""
    process, app = worker
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    sent = [(path, send(app, path)) for path in segments * (KILLS * 2)]
    killed = 0
    for number, (path, answer) in enumerate(sent):
        report = answer.get(timeout=180)
        assert answers(report) == expected[path]
        if number % 8 == 0 and killed < KILLS and (alive := children.read_text().split()):
            with contextlib.suppress(ProcessLookupError):  # it had answered its three
                os.kill(int(alive[killed % len(alive)]), signal.SIGKILL)
                killed += 1
    assert killed == KILLS and process.poll() is None
