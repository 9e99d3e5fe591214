"""The Python end of the line protocol: what a peer written in Python needs to be measured. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO


class Reply:
    """What one task delivered; the same fields as the C++ side (line_protocol.hpp)."""

    def __init__(self, out: str | None) -> None:
        self.times: list[float] = []
        self.values: list[float] = []
        self.out: BinaryIO | None = open(out, "wb") if out else None
        self.seconds = self.cpu = 0.0

    def picture(self, time_: float, pixels: Any = None) -> None:
        """`pixels`: anything with tobytes(), or bytes; only looked at in a check."""
        self.times.append(float(time_))
        if self.out is not None and pixels is not None:
            self.out.write(pixels() if callable(pixels) else pixels if isinstance(pixels, bytes) else pixels.tobytes())

    def timed(self, work: Callable[[], Any], count: int = 1) -> None:
        cpu, wall = _cpu(), time.perf_counter()
        work()
        self.seconds = (time.perf_counter() - wall) / count
        self.cpu = (_cpu() - cpu) / count

    def resident(self) -> None:
        """What the process holds now, in megabytes, stands for the time: what rows in MB compare."""
        with open("/proc/self/status", encoding="ascii") as status:
            self.seconds = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def numbers(text: str) -> list[float]:
    return [float(item) for item in text.split(",")]


def drop_from_page_cache(paths: Iterable[str]) -> None:
    for path in paths:
        with open(path, "rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def serve(tasks: dict[str, Callable[[dict[str, str], Reply], None]]) -> None:
    """Answers requests on standard input until it ends. Whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        task, *words = line.rstrip("\n").split("\t")
        request = dict(word.split("=", 1) for word in words)
        try:
            if task not in tasks:
                raise LookupError(f"no task {task}")
            reply = Reply(request.get("out"))
            try:
                tasks[task](request, reply)
            finally:
                if reply.out is not None:
                    reply.out.close()
            peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            answer = {"seconds": reply.seconds, "cpu": reply.cpu, "peak_rss_kb": peak, "times": reply.times, "values": reply.values}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".replace("\n", " ")[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
