"""Vidloom's Python package, as a user types it."""

from __future__ import annotations

import functools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import vidloom as vl

from ..peer import Reply, drop_from_page_cache, numbers, serve


def _open(request: dict[str, str], path: str | None = None) -> vl.Source:
    options = {"threads": int(request["threads"])} if "threads" in request else {}
    return vl.open_source(path or request["file"], **options)


def _seconds(frame: vl.Frame) -> float:
    num, den = frame.time_base
    return float(frame.pts) * num / den


def _give(frame: vl.Frame, request: dict[str, str], reply: Reply) -> None:
    if request.get("as") == "rgb":
        reply.picture(_seconds(frame), frame.image("rgb").numpy())
    else:
        reply.picture(_seconds(frame))


def first(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        for frame in _open(request):
            _give(frame, request, reply)
            break

    reply.timed(work)


def many(request: dict[str, str], reply: Reply) -> None:
    files = request["files"].split(",")
    if request.get("cold") == "1":
        drop_from_page_cache(files)

    def work() -> None:
        for path in files:
            for frame in _open(request, path):
                _give(frame, request, reply)
                break

    reply.timed(work)


def all_(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        for frame in _open(request):
            _give(frame, request, reply)

    reply.timed(work)


def luma(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        for frame in _open(request):
            reply.picture(_seconds(frame))
            reply.values.append(float(frame.luma().mean()))

    reply.timed(work)


def at(request: dict[str, str], reply: Reply) -> None:
    def work() -> None:
        for frame in _open(request).frames_at([time - 1e-6 for time in numbers(request["at"])]):
            _give(frame, request, reply)

    reply.timed(work)


def tensor(request: dict[str, str], reply: Reply) -> None:
    most = int(request.get("most", 10))
    frames = [frame for frame, _ in zip(_open(request), range(most), strict=False)]
    options: dict[str, Any] = {"fit": request["fit"], "filter": request.get("filter", "bicubic")}
    if request.get("clip") == "1":
        options |= {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}

    def work() -> None:
        for frame in frames:
            reply.picture(_seconds(frame), frame.tensor(int(request["size"]), **options))

    reply.timed(work, len(frames))


_ANALYZERS: dict[str, vl.Analyzer] = {}


def visual(request: dict[str, str], reply: Reply) -> None:
    """analyze_segment() with the analysis `visual` on the clock of the row; the Analyzer lives on, as in a worker."""
    every = request["every"]
    if every not in _ANALYZERS:
        _ANALYZERS[every] = vl.Analyzer({"visual": vl.visual(every=float(every))})
        _ANALYZERS[every].warm_up()

    def work() -> None:
        report = _ANALYZERS[every].analyze_segment(request["file"])
        report.raise_for_status()
        for frame in report.frames:
            reply.picture(float(frame.pts) * frame.time_base[0] / frame.time_base[1])
            reply.values.append(frame["visual"].attributes["brightness_level"])

    reply.timed(work)


@functools.cache
def _brands(model: str, precision: str) -> vl.Analyzer:
    labels = [f"label {number}" for number in range(20)]
    return vl.Analyzer({"brands": vl.clip(model, labels=labels, embedding=True, precision=precision, max_wait=0, min_confidence=0)})


def clip(request: dict[str, str], reply: Reply) -> None:
    analyzer = _brands(request["model"], "fp32" if request["precision"] == "f32" else request["precision"])
    with open(request["model"] + "/expected.json", encoding="utf-8") as file:
        expected = json.load(file)["segment"]
    count = int(request["count"])

    def one(_: int = 0) -> None:
        for frame in analyzer.analyze(request["file"], max_frames=1):
            reply.picture(frame.media_time)
            reply.values.append(sum(a * b for a, b in zip(frame["brands"].embedding.ravel().tolist(), expected, strict=True)))

    if count == 1 or request["callers"] == "1":
        reply.timed(lambda: [one() for _ in range(count)])
    else:
        with ThreadPoolExecutor(int(request["callers"])) as callers:
            reply.timed(lambda: list(callers.map(one, range(count))))
    if "memory" in request:
        reply.resident()


if __name__ == "__main__":
    serve({"first": first, "many": many, "all": all_, "luma": luma, "at": at, "tensor": tensor, "clip": clip, "visual": visual})
