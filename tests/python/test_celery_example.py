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
# For longer: VIDLOOM_TEST_SEGMENTS=200 VIDLOOM_TEST_TASKS_PER_CHILD=20 VIDLOOM_TEST_KILLS=20.
SEGMENTS = int(os.environ.get("VIDLOOM_TEST_SEGMENTS", "24"))
TASKS_PER_CHILD = int(os.environ.get("VIDLOOM_TEST_TASKS_PER_CHILD", "3"))
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
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> pathlib.Path:
    model = models.make_model(tmp_path_factory.mktemp("clip"))
    brands = {"adapter": "clip", "kind": "logo", "model": str(model.folder), "precision": "fp32", "every": 0.25, "tiles": 24}
    brands |= {"labels": ["Apple", "Google", "Nike"], "negatives": ["an empty street"], "embedding": True, "min_confidence": 0}
    path = model.folder / "analyses.json"
    path.write_text(json.dumps({"version": 1, "analyses": {"brands": brands}}))
    return path


@contextlib.contextmanager
def working(broker: str, config: pathlib.Path, folder: pathlib.Path, *flags: str):
    """The example as its README starts it, with more flags: (Popen, a client's app)."""
    settings = {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": broker, "VIDLOOM_CONFIG": str(config), "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "celery", "--app", "tasks", "--workdir", str(EXAMPLE), "worker", *flags]
    command += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    app = celery.Celery("client", broker=broker, backend=broker)
    with open(folder / "log", "w") as log:
        with ended(subprocess.Popen(command, env={**os.environ, **settings}, cwd=folder, stdout=log, stderr=subprocess.STDOUT)) as process:
            yield process, app
    print((folder / "log").read_text()[-4000:])


@pytest.fixture(scope="module")
def worker(broker, config, tmp_path_factory):
    flags = ("--concurrency", "2", "--max-tasks-per-child", str(TASKS_PER_CHILD))
    with working(f"{broker}/7", config, tmp_path_factory.mktemp("worker"), *flags) as made:
        yield made


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
    """Three to a child: children are replaced all along."""
    _, app = worker
    sent = [(path, send(app, path)) for path in (segments * SEGMENTS)[:SEGMENTS]]
    for path, answer in sent:
        report = answer.get(timeout=120)
        assert report["schema"] == "vidloom/report/v1" and report["status"] == "ok"
        assert answers(report) == expected[path]


@pytest.mark.parametrize(("number", "pool"), [(8, "threads"), (9, "solo")])
def test_other_pools_answer_the_same(broker, config, segments, expected, tmp_path, number, pool):
    """Each with a database of its own: a worker takes whatever waits in its."""
    with working(f"{broker}/{number}", config, tmp_path, "--pool", pool, "--concurrency", "2") as (_, app):
        for path, answer in [(path, send(app, path)) for path in segments * 2]:
            report = answer.get(timeout=120)
            assert report["status"] == "ok" and answers(report) == expected[path]


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


def a_living_child(process: subprocess.Popen) -> int:
    """Of the worker; waits for one to be started anew."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(600):
        for child in children.read_text().split():
            with contextlib.suppress(FileNotFoundError):
                if pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    return int(child)
        time.sleep(0.05)
    raise AssertionError("no child within 30 s")


def test_killed_children_lose_no_segment(worker, segments, expected):
    """Each while others of its wave wait or are at work."""
    process, app = worker
    for _ in range(KILLS):
        wave = [(path, send(app, path)) for path in segments * 2]
        wave[0][1].get(timeout=180)
        os.kill(a_living_child(process), signal.SIGKILL)
        for path, answer in wave:
            assert answers(answer.get(timeout=180)) == expected[path]
    assert process.poll() is None
