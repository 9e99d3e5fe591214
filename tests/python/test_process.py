"""How processes end, fork and work under Celery. Every script must come back with its own exit code, in time."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid

import pytest

PRELUDE = """
import os, sys, threading, time
import numpy as np
import vidloom as vl
PICTURE = np.full((48, 64, 3), 90, np.uint8)
MANY = [PICTURE] * 200
@vl.adapter("quick", max_batch=4)
def quick(items):
    return [{"level": 1} for _ in items]
@vl.adapter("asleep")
def asleep(items):
    time.sleep(60)
    return [{} for _ in items]
def endless():
    while True:
        yield PICTURE
class Sink(vl.Sink):
    def __init__(self, action): self.action = action
    def write(self, result): self.action()
def adapter_of(action):
    vl.adapter("acts")(lambda items: [action() for _ in items])
    return "acts"
def in_thread(work, daemon=True):
    thread = threading.Thread(target=work, daemon=daemon)
    thread.start()
    return thread
def started(name="quick"):
    analyzer = vl.Analyzer([name])
    return analyzer
"""

# name: (script, exit code). None of them closes what it opened, unless that is the point.
SCRIPTS = {
    "only imports": ("", 0),
    "makes an analyzer and leaves": ("a = vl.Analyzer(['quick', 'visual'])", 0),
    "uses an analyzer and leaves": ("a = vl.Analyzer(['quick']); a.analyze_frame(PICTURE)", 0),
    "uses people and leaves": ("a = vl.Analyzer(['people']); a.analyze_frame(np.zeros((200, 200, 3), np.uint8))", 0),
    "keeps results": (
        "a = vl.Analyzer(['quick', 'visual']); r = a.analyze_frame(PICTURE); keep = [r, r['visual'].detections, r['quick']]",
        0,
    ),
    "keeps frames": ("keep = [vl.Frame.from_array(PICTURE) for _ in range(10)]; images = [f.image().numpy() for f in keep]", 0),
    "keeps a source open": ("s = vl.open_source('test:'); s.open(); f = s.read()", 0),
    "run never begun": ("r = vl.analyze(MANY, 'quick')", 0),
    "run begun and kept": ("r = iter(vl.analyze(MANY, 'quick')); next(r)", 0),
    "run in a global cycle": ("class C: pass\nc = C(); c.c = c; c.run = vl.analyze(MANY, 'quick'); c.it = iter(c.run); next(c.it)", 0),
    "endless generator kept": ("r = iter(vl.analyze(endless(), 'quick')); next(r)", 0),
    "break": ("for f in vl.analyze(endless(), 'quick'): break", 0),
    "exception in the loop": ("for f in vl.analyze(endless(), 'quick'): raise ValueError('x')", 1),
    "sys.exit in the loop": ("for f in vl.analyze(endless(), 'quick'): sys.exit(7)", 7),
    "sys.exit in a with block": ("with vl.analyze(endless(), 'quick') as r:\n    for f in r: sys.exit(8)", 8),
    "sys.exit in a sink": ("vl.analyze(MANY, 'quick', sinks=[Sink(lambda: sys.exit(9))]).run()", 9),
    "sys.exit in a source": ("def g():\n    yield PICTURE\n    sys.exit(10)\nvl.analyze(g(), 'quick').run()", 10),
    "exception in a sink": ("def bad(): raise LookupError('x')\nvl.analyze(MANY, 'quick', sinks=[Sink(bad)]).run()", 1),
    "exception in a source": ("def g():\n    yield PICTURE\n    raise LookupError('x')\nvl.analyze(g(), 'quick').run()", 1),
    "exception in an adapter": ("def bad(): raise LookupError('x')\nassert vl.analyze(MANY, adapter_of(bad)).run().exit_code == 1", 0),
    "sys.exit in an adapter": ("assert vl.analyze(MANY[:3], adapter_of(lambda: sys.exit(5))).run().exit_code == 1", 0),
    "os._exit in the loop": ("for f in vl.analyze(endless(), 'quick'): os._exit(11)", 11),
    "os._exit in an adapter": ("vl.analyze(MANY, adapter_of(lambda: os._exit(12))).run()", 12),
    "os._exit in a sink": ("vl.analyze(MANY, 'quick', sinks=[Sink(lambda: os._exit(13))]).run()", 13),
    "config error": ("vl.Analyzer(['nothing'])", 1),
    "source error": ("vl.analyze('/nowhere.mp4', 'quick')", 1),
    "keyboard interrupt": (
        "import _thread\nin_thread(lambda: (time.sleep(0.2), _thread.interrupt_main()))\nvl.analyze(endless(), 'quick').run()",
        130,
    ),
    "keyboard interrupt, adapter asleep": (
        "import _thread\nin_thread(lambda: (time.sleep(0.2), _thread.interrupt_main()))\nvl.analyze(MANY, 'asleep').run()",
        130,
    ),
    "daemon thread analyses": ("in_thread(lambda: vl.analyze(endless(), 'quick').run()); time.sleep(0.3)", 0),
    "daemon thread analyses, exit 3": ("in_thread(lambda: vl.analyze(endless(), 'quick').run()); time.sleep(0.3); sys.exit(3)", 3),
    "daemon thread waits for a sleeping adapter": ("in_thread(lambda: vl.analyze(MANY, 'asleep').run()); time.sleep(0.3)", 0),
    "four daemon threads": ("for _ in range(4): in_thread(lambda: vl.analyze(endless(), ['quick', 'visual']).run())\ntime.sleep(0.3)", 0),
    "daemon thread, exception": ("in_thread(lambda: vl.analyze(endless(), 'quick').run()); time.sleep(0.3); raise ValueError", 1),
    "daemon thread with a sleeping source": (
        "def g():\n    yield PICTURE\n    time.sleep(60)\nin_thread(lambda: vl.analyze(g(), 'quick').run()); time.sleep(0.3)",
        0,
    ),
    "daemon thread with a sleeping sink": (
        "in_thread(lambda: vl.analyze(MANY, 'quick', sinks=[Sink(lambda: time.sleep(60))]).run()); time.sleep(0.3)",
        0,
    ),
    "adapter asleep after a deadline": (
        "a = vl.Analyzer({'s': {'adapter': 'asleep', 'deadline': 0.1}}); r = a.analyze_frame(PICTURE); assert r['s'].error.code == 'deadline'",
        0,
    ),
    "adapter asleep, exit 4": ("a = vl.Analyzer({'s': {'adapter': 'asleep', 'deadline': 0.1}}); a.analyze_frame(PICTURE); sys.exit(4)", 4),
    "adapter wakes at the end": (
        "def nap():\n    time.sleep(1.05)\n    return {}\na = vl.Analyzer({'s': {'adapter': adapter_of(nap), 'deadline': 0.05}}); a.analyze_frame(PICTURE)",
        0,
    ),
    "atexit uses an analyzer": ("import atexit\na = vl.Analyzer(['quick'])\natexit.register(lambda: a.analyze_frame(PICTURE))", 0),
    "atexit uses a run begun before": ("import atexit\nr = iter(vl.analyze(MANY, 'quick')); next(r)\natexit.register(lambda: list(r))", 0),
    "destructor uses an analyzer": (
        "class D:\n    def __init__(self): self.a = vl.Analyzer(['quick']); self.a.analyze_frame(PICTURE)\n    def __del__(self): self.a.close()\nd = D()",
        0,
    ),
    "fork, child leaves": (
        "a = vl.Analyzer(['quick']); a.analyze_frame(PICTURE)\npid = os.fork()\nif pid == 0: sys.exit(0)\nassert os.waitpid(pid, 0)[1] == 0",
        0,
    ),
    "fork, child leaves at once": (
        "a = vl.Analyzer(['quick']); a.analyze_frame(PICTURE)\npid = os.fork()\nif pid == 0: os._exit(0)\nassert os.waitpid(pid, 0)[1] == 0",
        0,
    ),
    "fork, parent goes on": (
        "a = vl.Analyzer(['quick']); a.analyze_frame(PICTURE)\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)\na.analyze_frame(PICTURE)",
        0,
    ),
    "fork during a run": (
        "r = iter(vl.analyze(MANY, 'quick')); next(r)\npid = os.fork()\nif pid == 0: sys.exit(6)\nassert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6\nassert len(list(r)) == 199",
        0,
    ),
    "fork, child errors": (
        "a = vl.Analyzer(['quick']); a.analyze_frame(PICTURE)\npid = os.fork()\nif pid == 0:\n    begun = time.monotonic()\n    try: a.analyze_frame(PICTURE)\n"
        "    except vl.ForkedProcessError: os._exit(0 if time.monotonic() - begun < 1 else 2)\n    os._exit(3)\nassert os.waitpid(pid, 0)[1] == 0",
        0,
    ),
    "fork while an adapter runs": (
        "in_thread(lambda: vl.analyze(endless(), 'quick').run()); time.sleep(0.2)\npid = os.fork()\nif pid == 0: sys.exit(0)\nassert os.waitpid(pid, 0)[1] == 0",
        0,
    ),
    "registered things are kept": (
        "class S(vl.Source):\n    n = 3\n    def read(self):\n        self.n -= 1\n        return PICTURE if self.n >= 0 else None\nvl.register_source('mine', S); vl.register_sink('mine', lambda: Sink(int)); vl.analyze('mine:', 'quick').run()",
        0,
    ),
    "adapter logs at the end": ("vl.analyze(MANY[:3], 'quick', progress=True).run()", 0),
    "SIGTERM handler exits": (
        "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(14))\nin_thread(lambda: (time.sleep(0.2), os.kill(os.getpid(), signal.SIGTERM)))\nvl.analyze(endless(), 'quick').run()",
        14,
    ),
    "non-daemon thread finishes": ("in_thread(lambda: vl.analyze(MANY, 'quick').run(), daemon=False)", 0),
    "engine is not there": ("vl.Engine()", 1),
    "analyzer closed twice": ("a = vl.Analyzer(['quick']); a.analyze_frame(PICTURE); a.close(); a.close()", 0),
    "analyzer closed while a thread uses it": (
        "a = vl.Analyzer(['quick'])\nt = in_thread(lambda: a.analyze(endless()).run()); time.sleep(0.2); a.close(); t.join(10); assert not t.is_alive()",
        0,
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_returns_its_own_exit_code(python, name):
    script, code = SCRIPTS[name]
    begun = time.monotonic()
    done = python(PRELUDE + script, timeout=30)
    expected = -signal.SIGINT if code == 130 else code
    assert done.returncode == expected, (done.returncode, done.stdout, done.stderr)
    assert "terminate called" not in done.stderr and "Fatal Python error" not in done.stderr, done.stderr
    assert time.monotonic() - begun < 15


def test_an_analyzer_at_module_level_works_in_forked_children(python, segments):
    script = """
import multiprocessing, sys
import vidloom as vl
analyzer = vl.Analyzer({"visual": vl.visual(every=0.5), "motion": vl.motion(every=0.5)})
def work(path):
    return analyzer.analyze_segment(path)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        reports = pool.map(work, sys.argv[1:] * 3)
    assert len(reports) == 12 and all(report.status == "ok" and report.due == 2 for report in reports), reports
    print("fine")
"""
    done = python(script, *segments, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


def test_used_before_a_fork_it_says_so_at_once(python, segments):
    script = """
import multiprocessing, sys, time
import vidloom as vl
analyzer = vl.Analyzer(["visual"])
def work(path):
    begun = time.monotonic()
    try:
        analyzer.analyze_segment(path)
    except vl.ForkedProcessError as error:
        return type(error).__name__, str(error), time.monotonic() - begun
if __name__ == "__main__":
    assert analyzer.analyze_segment(sys.argv[1]).status == "ok"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        name, text, took = pool.apply(work, (sys.argv[1],))
    assert name == "ForkedProcessError" and len(text) > 20 and took < 1, (name, text, took)
    assert analyzer.analyze_segment(sys.argv[1]).status == "ok"
    print("fine")
"""
    done = python(script, segments[0], timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


def test_opencv_used_before_a_fork_harms_no_child(python, vtest):
    """OpenCV's thread pool does not survive a fork(): a new Analyzer in the child works all the same, time after time."""
    script = """
import os, signal, sys, time
import vidloom as vl
def analyses():
    return {"people": vl.people(every=1.0), "motion": vl.motion(every=0.2)}
def look(analyzer):
    summary = {"people": 0, "motion": 0}
    for frame in analyzer.analyze(sys.argv[1], end=2.0):
        for name in frame:
            summary[name] += len(frame[name])
    return summary
used = vl.Analyzer(analyses())
seen = look(used)
assert seen["people"] > 0 and seen["motion"] > 0, seen
def child():
    begun = time.monotonic()
    try:
        used.analyze_segment(sys.argv[1])
    except vl.ForkedProcessError as error:
        assert time.monotonic() - begun < 1 and "fork" in str(error), error
    else:
        return 2
    del globals()["used"]
    with vl.Analyzer(analyses()) as fresh:
        return 0 if look(fresh) == seen else 3
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a hang ends as SIGALRM
        try:
            os._exit(child())
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(4)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, code
assert look(used) == seen
print("fine")
"""
    done = python(script, vtest, timeout=90)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


CELERY_APP = """
import os, time
from celery import Celery
import vidloom as vl
app = Celery("vidloom_test", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
if os.environ["BROKER"] == "filesystem://":
    folder = os.environ["BROKER_FOLDER"]
    app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
app.conf.update(task_default_queue=os.environ["QUEUE"], worker_prefetch_multiplier=1, result_expires=120, broker_connection_retry_on_startup=True)
analyzer = vl.Analyzer({"visual": vl.visual(every=0.5), "motion": vl.motion(every=0.5)})

@vl.adapter("asleep")
def asleep(items):
    time.sleep(30)
    return [{} for _ in items]
sleeper = vl.Analyzer(["asleep"])

@app.task(bind=True, acks_late=True, max_retries=3)
def process_segment(self, path, stream_key, session_id=None):
    report = analyzer.analyze_segment(path, stream=stream_key, context={"session_id": session_id}, deadline=20)
    try:
        report.raise_for_status()
    except vl.Error as error:
        if error.retryable:
            raise self.retry(exc=error, countdown=error.retry_after or 2 ** self.request.retries)
        raise
    return dict(report.to_dict(), pid=os.getpid())

@app.task(soft_time_limit=1, time_limit=20)
def too_long(path):
    from celery.exceptions import SoftTimeLimitExceeded
    begun = time.monotonic()
    try:
        sleeper.analyze_segment(path)
    except SoftTimeLimitExceeded:
        return time.monotonic() - begun
    return None
"""


REDIS = "redis://127.0.0.1:6379/0"


def broker_settings(folder):
    """Redis where one answers; else a folder, for which no server has to run."""
    import redis

    try:
        redis.Redis.from_url(REDIS, socket_connect_timeout=1).ping()
        return {"BROKER": REDIS, "BACKEND": REDIS}
    except redis.RedisError:
        for name in ("broker/control", "results"):
            (folder / name).mkdir(parents=True)
        return {"BROKER": "filesystem://", "BROKER_FOLDER": str(folder / "broker"), "BACKEND": f"file://{folder}/results"}


def test_a_celery_prefork_worker(tmp_path, segments, monkeypatch):
    settings = broker_settings(tmp_path)
    module = f"tasks_{uuid.uuid4().hex[:8]}"
    queue = f"vidloom-test-{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{module}.py").write_text(CELERY_APP)
    environment = {
        **os.environ,
        **settings,
        "QUEUE": queue,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }
    log = open(tmp_path / "worker.log", "w")
    worker = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            module,
            "worker",
            "-P",
            "prefork",
            "-c",
            "2",
            "-Q",
            queue,
            "-l",
            "INFO",
            "-n",
            f"{queue}@%h",
            "--without-gossip",
            "--without-mingle",
        ],
        cwd=tmp_path,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        monkeypatch.syspath_prepend(str(tmp_path))
        for name, value in {**settings, "QUEUE": queue}.items():
            monkeypatch.setenv(name, value)
        tasks = __import__(module)
        answers = [tasks.process_segment.delay(path, f"stream-{index}", session_id="s-17") for index, path in enumerate(segments * 2)]
        reports = [answer.get(timeout=60) for answer in answers]
        assert all(report["status"] == "ok" and len(report["frames"]) == 2 for report in reports)
        assert all(report["context"] == {"session_id": "s-17"} for report in reports)
        json.dumps(reports)
        missing = tasks.process_segment.delay("/nowhere/gone.ts", "stream")
        with pytest.raises(Exception, match="gone.ts"):
            missing.get(timeout=60)
        took = tasks.too_long.delay(segments[0]).get(timeout=60)
        assert took is not None and took < 2
    except BaseException:
        log.flush()
        print((tmp_path / "worker.log").read_text()[-5000:])
        raise
    finally:
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait(10)
        log.close()
        if settings["BROKER"] == REDIS:
            import redis

            redis.Redis.from_url(REDIS).delete(queue, f"_kombu.binding.{queue}")


def test_the_command_loads_plugins(tmp_path, movie):
    (tmp_path / "mine.py").write_text(
        "import vidloom as vl\n@vl.adapter('plugged', kind='visual')\ndef plugged(items):\n    return [{'level': 0.5} for _ in items]\n"
    )
    command = [sys.executable, "-m", "vidloom", "analyze", movie, "--detect", "plugged", "--jsonl", "-", "--max-frames", "3"]
    for extra, environment in ((["--plugin", "mine"], {}), ([], {"VIDLOOM_PLUGINS": "mine"})):
        done = subprocess.run(command + extra, capture_output=True, text=True, timeout=60, cwd=tmp_path, env={**os.environ, **environment})
        assert done.returncode == 0, done.stderr
        frames = [json.loads(line) for line in done.stdout.splitlines() if '"frame"' in line]
        assert sum(frame["type"] == "frame" and frame["analyses"]["plugged"]["attributes"] == {"level": 0.5} for frame in frames) == 3
    done = subprocess.run([*command, "--plugin", "no_such_module"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2 and "no_such_module" in done.stderr


def test_the_command_stops_on_ctrl_c_and_finishes_its_output(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import time, sys\nimport vidloom as vl\n@vl.adapter('slow')\ndef slow(items):\n    print('ready', file=sys.stderr, flush=True)\n    time.sleep(0.05)\n    return [{} for _ in items]\n"
    )
    command = [
        sys.executable,
        "-m",
        "vidloom",
        "analyze",
        "test:frames=100000",
        "--detect",
        "slow",
        "--plugin",
        "mine",
        "--jsonl",
        "out.jsonl",
    ]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if "ready" in line:
            break
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130, err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines[0]["type"] == "start" and lines[-1]["type"] == "end"


def test_the_script_vidloom_is_installed():
    command = shutil.which("vidloom", path=os.path.dirname(sys.executable)) or shutil.which("vidloom")
    if not command:
        pytest.skip("the package runs from its tree: no script vidloom beside this Python")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "0." in done.stdout


def test_a_plugins_source_or_sink_that_fails_is_no_bug_of_ours(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy, vidloom as vl\n"
        "def gate(uri):\n"
        "    yield numpy.zeros((48, 64, 3), numpy.uint8)\n"
        "    raise KeyboardInterrupt if 'interrupt' in uri else RuntimeError('camera died')\n"
        "vl.register_source('gate', gate)\n"
        "class Printer(vl.Sink):\n"
        "    def __init__(self, uri): pass\n"
        "    def write(self, result): raise RuntimeError('no paper')\n"
        "vl.register_sink('printer', Printer)\n"
    )
    command = [sys.executable, "-m", "vidloom", "analyze", "--detect", "visual", "--plugin", "mine", "-q"]

    def run(*arguments):
        return subprocess.run(command + list(arguments), capture_output=True, text=True, timeout=60, cwd=tmp_path)

    done = run("gate:", "--jsonl", "out.jsonl")
    assert (done.returncode, done.stderr) == (3, "vidloom: source: RuntimeError: camera died\n")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["start", "frame", "end"] and lines[0]["source"] == "gate:"
    done = run("test:frames=3", "--sink", "printer:")
    assert (done.returncode, done.stderr) == (5, "vidloom: output: RuntimeError: no paper\n")
    for sources in (["gate:interrupt"], ["gate:interrupt", "test:frames=3"]):
        done = run(*sources, "--jsonl", "interrupted.jsonl", "-y")
        assert done.returncode == 130, done.stderr
        assert json.loads((tmp_path / "interrupted.jsonl").read_text().splitlines()[-1])["type"] == "end"
