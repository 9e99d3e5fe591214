"""The package itself: what importing costs, what it holds, that stubs and types agree with it."""

import ast
import pathlib
import pickle
import subprocess
import sys

import pytest

import vidloom as vl
from vidloom import _vidloom

PACKAGE = pathlib.Path(vl.__file__).parent


def test_importing_maps_few_libraries_and_starts_nothing(python):
    script = """
import sys, os, re
def libraries():
    return {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
def threads():
    return len(os.listdir("/proc/self/task"))
import typing, logging, dataclasses, inspect, importlib, fractions
before, threads_before = libraries(), threads()
import vidloom
new = libraries() - before
assert threads() == threads_before == 1, threads()
heavy = {name for name in ("numpy", "torch", "cv2", "supervision") if name in sys.modules}
assert not heavy, heavy
print(len(new))
print("\\n".join(sorted(new)))
"""
    done = python(script)
    assert done.returncode == 0, done.stderr
    count, *names = done.stdout.splitlines()
    assert int(count) < 15, names
    assert not [name for name in names if any(word in name.rpartition("/")[2] for word in ("libav", "opencv", "torch"))], names


def test_every_name_of_the_surface_is_there():
    names = """analyze people faces motion visual logos clip yolo text cloud_vision Run Analyzer Engine FrameResult Outcome Report Summary
    Detections DetectionAdapter AdapterInfo adapter register_adapter register_source register_sink Source Sink SourceInfo StreamEvent End
    open_source Frame Image Label local lan cloud failover where_from_env probe adapters doctor load_analyses __version__ Error ConfigError
    NotBuiltError SourceError ModelError OutputError ForkedProcessError""".split()
    for name in names:
        assert hasattr(vl, name), name
        assert name in vl.__all__, name
    assert sorted(vl.__all__) == sorted(set(vl.__all__))
    for name in vl.__all__:
        getattr(vl, name)


def test_stubs_name_exactly_what_the_module_has():
    tree = ast.parse((PACKAGE / "_vidloom.pyi").read_text())
    stubs = {node.name: node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    runtime = {name for name in dir(_vidloom) if not name.startswith("_")}
    assert {name for name in stubs if not name.startswith("_")} == runtime
    for name, node in stubs.items():
        if not isinstance(node, ast.ClassDef) or name.startswith("_"):
            continue
        members = {child.name for child in node.body if isinstance(child, ast.FunctionDef)}
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in stubs:
                members |= {child.name for child in stubs[base.id].body if isinstance(child, ast.FunctionDef)}
        actual = {member for member in vars(getattr(_vidloom, name)) if not member.startswith("_")}
        assert {member for member in members if not member.startswith("_")} == actual, name
        for member in members - {"__init__", "__buffer__"}:
            assert hasattr(getattr(_vidloom, name), member), f"{name}.{member}"


def test_the_package_and_typed_programs_pass_mypy_strict(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        """
from __future__ import annotations
from collections.abc import Sequence
import numpy as np
import vidloom as vl
import vidloom.convert

class Mine(vl.DetectionAdapter):
    def __init__(self, *, threshold: float = 0.5) -> None:
        self.threshold = threshold
    def info(self) -> vl.AdapterInfo:
        return vl.AdapterInfo(kind="object", max_batch=4)
    def detect(self, items: Sequence[vl.Item], ctx: vl.BatchContext) -> list[vl.Detections]:
        return [vl.Detections([[0, 0, 1, 1]], [self.threshold], class_name=["x"]) for item in items]

class Pictures(vl.Source):
    def open(self, ctx: vl.SourceContext) -> vl.SourceInfo:
        return vl.SourceInfo(size=(4, 4))
    def read(self) -> vl.Frame | vl.End:
        return vl.End()

class Counting(vl.Sink):
    def write(self, result: vl.FrameResult) -> None:
        print(result.media_time)

@vl.adapter("function", max_batch=2)
def function(items: Sequence[vl.Item]) -> list[dict[str, float]]:
    return [{"mean": float(item.frame.luma().mean())} for item in items]

def main() -> None:
    vl.register_adapter("mine", Mine)
    for frame in vl.analyze("street.mp4", [vl.people(every=1.0), "mine"], sinks=[Counting()]):
        outcome = frame["people"]
        boxes: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = outcome.xyxy
        if outcome.answered:
            print([detection.class_name for detection in outcome], boxes.shape)
    summary: vl.Summary = vl.analyze(Pictures(), vl.motion()).run()
    report: vl.Report = vl.Analyzer({"a": vl.visual()}).analyze_segment("a.ts", deadline=2)
    print(summary.exit_code, report.counts)
    print([path.name for path in vidloom.convert.convert(["pytorch_model.bin"], "out", overwrite=True)])
"""
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    if "site-packages" not in PACKAGE.parts:  # mypy finds an installed package itself, and refuses to be told where
        environment["MYPYPATH"] = str(PACKAGE.parent)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_errors_have_their_bases_and_pickle():
    expected = {
        vl.ConfigError: (ValueError, "config"),
        vl.NotBuiltError: (ImportError, "not_built"),
        vl.SourceError: (OSError, "source"),
        vl.ModelError: (Exception, "model"),
        vl.OutputError: (OSError, "output"),
        vl.ForkedProcessError: (RuntimeError, "forked"),
        vl.Error: (Exception, "internal"),
    }
    for cls, (base, code) in expected.items():
        error = cls("what was wrong", retryable=True, retry_after=1.5)
        assert isinstance(error, base) and isinstance(error, vl.Error)
        assert (error.code, error.retryable, error.retry_after, str(error)) == (code, True, 1.5, "what was wrong")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is cls
        assert (again.code, again.retryable, again.retry_after, str(again)) == (code, True, 1.5, "what was wrong")
        assert cls("plain").retry_after is None


def test_an_error_class_of_the_users_own_pickles_with_its_fields():
    error = Busy("gpu1", 3)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code, again.host, again.retryable) == (Busy, "gpu1 is busy", "overload", "gpu1", True)


class Busy(vl.Error):
    def __init__(self, host, queue):
        super().__init__(f"{host} is busy", code="overload", retryable=True)
        self.host = host
        self.queue = queue


def test_parts_of_later_versions_say_so():
    for call in (
        vl.Engine,
        lambda: vl.lan(["gpu1:8700"]),
        vl.cloud,
        lambda: vl.failover([vl.local()]),
        lambda: vl.analyze(0, "visual"),
        lambda: vl.analyze("test:", "visual", mode="live"),
        lambda: vl.Analyzer({"objects": vl.yolo("yolo11n")}),
        lambda: vl.analyze("rtsp://camera/stream", "visual"),
    ):
        with pytest.raises(vl.NotBuiltError) as caught:
            call()
        assert len(str(caught.value)) > 20 and caught.value.code == "not_built"


def test_where_from_env_reads_the_predecessors_words(monkeypatch):
    monkeypatch.delenv("AI_PROCESSING_MODE", raising=False)
    assert vl.where_from_env() == vl.local() == {"type": "local"}
    monkeypatch.setenv("AI_PROCESSING_MODE", "local")
    assert vl.where_from_env() == vl.local()
    for mode in ("remote_lan", "remote-lan", "cloud", "cloud-gpu"):
        monkeypatch.setenv("AI_PROCESSING_MODE", mode)
        with pytest.raises(vl.NotBuiltError):
            vl.where_from_env()
    monkeypatch.setenv("AI_PROCESSING_MODE", "locall")
    with pytest.raises(vl.ConfigError, match="did you mean 'local'"):
        vl.where_from_env()


def test_adapters_and_doctor_tell_what_there_is():
    known = vl.adapters()
    for name in ("people", "motion", "visual"):
        assert known[name]["built"] and known[name]["options"], name
    facts = vl.doctor()
    assert facts["vidloom"] == vl.__version__
    assert facts["components"]["ffmpeg"]["loaded"] and facts["components"]["opencv"]["loaded"]


def test_cmake_dir_is_printed(python):
    done = subprocess.run([sys.executable, "-m", "vidloom", "--cmake-dir"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert done.stdout.strip() == str(PACKAGE.resolve() / "lib" / "cmake" / "vidloom") or done.stdout.strip().endswith("lib/cmake/vidloom")
