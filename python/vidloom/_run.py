"""``analyze``: one source, its results one by one, to files or both."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import _log, _vidloom
from ._sinks import annotate as annotated_video
from ._sinks import drawn, native_sinks
from ._sinks import report as report_page
from ._sources import native_source
from ._specs import Detect, chosen_specs
from ._vidloom import FrameResult, NativeSink, SourceInfo
from .errors import ConfigError, Error, NotBuiltError

MODES = ("auto", "live", "complete")


@dataclass(frozen=True)
class Summary:
    """What a run came to. ``frames`` were read, ``analyzed`` of them had an analysis due; ``counts``: {analysis: {status: n}}."""

    frames: int = 0
    analyzed: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    duration: float = 0.0
    elapsed: float = 0.0
    exit_code: int = 0

    def __str__(self) -> str:
        lines = [f"{self.frames} frames, {self.analyzed} analysed, {self.duration:.1f} s of video in {self.elapsed:.1f} s"]
        width = max((len(name) for name in self.counts), default=0)
        for name, statuses in self.counts.items():
            answers = ", ".join(f"{count} {status}" for status, count in statuses.items())
            lines.append(f"  {name:<{width}}  {answers}".rstrip())
        return "\n".join(lines)


class Run:
    """One analysis of one source. Iterate it for a FrameResult per frame on which an analysis was due, or ``run()`` it to the end.

    The source is open from the start; leaving the loop - by ``break``, an exception, or dropping it - closes source and outputs.
    Where the source fails before its end, the error is raised after the last result.
    """

    def __init__(self, native: _vidloom.Run, progress: bool | None = None, owned: _vidloom.Analyzer | None = None) -> None:
        self._native = native
        self._progress = progress
        self._owned = owned
        self._begun = False
        self._closed = False

    def __iter__(self) -> Iterator[FrameResult]:
        self._begin()
        return self._results(bool(self._progress))

    def run(self) -> Summary:
        """Works to the end of the source and closes all outputs."""
        self._begin()
        for _ in self._results(sys.stderr.isatty() if self._progress is None else self._progress):
            pass
        return self.summary

    def stop(self) -> None:
        """Ends it early, from any thread; results that are under way still come."""
        self._native.stop()

    def close(self) -> None:
        """Closes source and outputs. Idempotent."""
        self._close(wait=True)

    @property
    def info(self) -> SourceInfo:
        """What the source said when it opened."""
        return self._native.info

    @property
    def summary(self) -> Summary:
        """Counts so far."""
        report = self._native.report
        counts = report.counts
        unhealthy = sum(statuses.get("dropped", 0) for statuses in counts.values())
        drops = {"unhealthy": unhealthy} if unhealthy else {}  # nothing else is dropped from what is finite
        bad = any(statuses.get("failed") or statuses.get("dropped") for statuses in counts.values())
        stats = self._native.stats
        seen = stats["decoded"] + stats["skipped"]  # not all were worth decoding
        return Summary(seen, report.due, counts, drops, report.duration, report.elapsed, 1 if bad else 0)

    def __repr__(self) -> str:
        return f"<vidloom.Run of {self.info.stream}: {'over' if self._closed else 'under way' if self._begun else 'not begun'}>"

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close(self, wait: bool) -> None:
        if self._closed:
            return
        self._closed = True
        self._begun = True
        try:
            self._native.close()
        finally:
            if self._owned is not None:
                self._owned.close() if wait else self._owned.close_later()
            _log.drain()

    def _begin(self) -> None:
        if self._begun:
            raise Error("this run is over or under way already; call analyze() again", code="cancelled")
        self._begun = True

    def _results(self, progress: bool) -> Iterator[FrameResult]:
        line = _ProgressLine(self.info.duration) if progress else None
        try:
            while (result := self._native.next()) is not None:
                _log.drain()
                if line:
                    line.show(result)
                yield result
            ended = self._native.report.error
        except GeneratorExit:
            raise
        except BaseException:
            self._close(wait=False)  # an interruption waits for no adapter
            raise
        finally:
            if line:
                line.end()
            self.close()
        if ended is not None and ended.code != "cancelled":
            raise ended  # the source failed before its end; what came before has been given


class _ProgressLine:
    """One line on stderr, redrawn ten times a second at most."""

    def __init__(self, duration: float | None) -> None:
        self.duration = duration
        self.frames = 0
        self.first: float | None = None
        self.shown = 0.0

    def show(self, result: FrameResult) -> None:
        self.frames += 1
        if self.first is None:
            self.first = result.media_time
        now = time.monotonic()
        if now - self.shown < 0.1:
            return
        self.shown = now
        done = result.media_time - self.first
        share = f" of {self.duration:.1f} s, {min(1.0, done / self.duration):4.0%}" if self.duration else " s"
        sys.stderr.write(f"\r{done:.1f}{share}, {self.frames} results ")
        sys.stderr.flush()

    def end(self) -> None:
        if self.shown:
            sys.stderr.write("\n")
            sys.stderr.flush()


def names_of(only: Iterable[str] | None) -> list[str] | None:
    """``only=`` as the bindings want it; None: all."""
    if only is None:
        return None
    names = [only] if isinstance(only, str) else list(only)
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"only is {names!r}; use names of analyses, or None for all")
    return names


def _refuse_own_source(name: str, source: Any, output: str | os.PathLike[str]) -> None:
    """An overwritten source would be gone before it is read."""
    if not isinstance(source, (str, os.PathLike)) or not os.path.exists(source) or not os.path.exists(output):
        return
    if os.path.samefile(source, output):
        raise ConfigError(f"{name}={os.fspath(output)!r} would write over its own source; choose another name")


def _page_of(source: Any, annotate: Any, outputs: Iterable[Any]) -> dict[str, Any]:
    """What a page plays: the film that the run makes anyway, else a source that browsers play as it is, else one of its own. It hides
    what any other output of the run hides."""
    others = [drawn[sink] for sink in outputs if isinstance(sink, NativeSink) and sink in drawn]
    hidden = {how: sorted({name for other in others for name in other[how]}) for how in ("blur", "pixelate")}
    hidden = {how: names for how, names in hidden.items() if names}
    film = drawn[annotate]["film"] if isinstance(annotate, NativeSink) and annotate in drawn else annotate
    if isinstance(film, (str, os.PathLike)) and not os.fspath(film).endswith(".ts"):
        return {"video": film, **hidden}
    if not hidden and isinstance(source, (str, os.PathLike)) and _vidloom.plays_in_browsers(os.fsencode(source)):
        return {"plays_source": True}
    return hidden


class _Claimed:
    """Names taken for a run. An empty file of one that never began would refuse the next."""

    def __init__(self) -> None:
        self._fresh: list[str | os.PathLike[str]] = []

    def add(self, path: str | os.PathLike[str]) -> None:
        if path != "-" and not os.path.lexists(path):
            self._fresh.append(path)

    def give_back(self) -> None:
        for path in self._fresh:
            if os.path.exists(path) and os.path.getsize(path) == 0:
                os.unlink(path)


def start_run(
    analyzer: _vidloom.Analyzer,
    source: Any,
    *,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    mode: str = "auto",
    jsonl: str | os.PathLike[str] | None = None,
    annotate: Any = None,
    report: Any = None,
    sinks: Iterable[Any] = (),
    overwrite: bool = False,
    stream: str | None = None,
    context: Mapping[str, Any] | None = None,
    only: Iterable[str] | None = None,
    deadline: float | None = None,
    keep_frames: bool = False,
    progress: bool | None = None,
    rate: float = 25.0,
    owned: _vidloom.Analyzer | None = None,
) -> Run:
    """What ``analyze`` and ``Analyzer.analyze`` have in common."""
    if mode not in MODES:
        raise ConfigError(f"mode is {mode!r}; use 'auto', 'live' or 'complete'")
    if mode == "live":
        raise NotBuiltError("mode 'live' is not in this version; use 'complete', which drops nothing")
    if max_frames is not None and (isinstance(max_frames, bool) or not isinstance(max_frames, int) or max_frames < 1):
        raise ConfigError(f"max_frames is {max_frames!r}; use 1 or more, or None")
    _log.follow_level()
    native = native_source(source, rate)
    outputs = native_sinks(sinks)
    path = None if jsonl is None else os.fspath(jsonl)
    claimed = _Claimed()
    try:
        if path is not None:
            claimed.add(path)
            outputs.append(_vidloom.jsonl(os.fsencode(path), overwrite=overwrite))
        if isinstance(annotate, (str, os.PathLike)):
            _refuse_own_source("annotate", source, annotate)
            claimed.add(annotate)
            outputs.append(annotated_video(annotate, overwrite=overwrite))
        elif annotate is not None:
            outputs += native_sinks([annotate])
        if isinstance(report, (str, os.PathLike)):
            _refuse_own_source("report", source, report)
            page = _page_of(source, annotate, outputs)
            if not page.keys() & {"video", "plays_source"}:
                claimed.add(os.path.splitext(os.fspath(report))[0] + ".mp4")
            outputs.append(report_page(report, overwrite=overwrite, **page))
        elif report is not None:
            outputs += native_sinks([report])
        started = analyzer.start(
            native,
            stream=stream,
            only=names_of(only),
            deadline=deadline,
            context=context,
            start=start,
            end=end,
            max_frames=max_frames or 0,
            keep_frames=keep_frames,
            sinks=outputs,
        )
    except BaseException:
        claimed.give_back()
        raise
    finally:
        _log.drain()
    return Run(started, progress, owned)


def analyze(
    source: Any,
    detect: Detect | None = None,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    every: float | None = None,
    tolerance: float | None = None,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    mode: str = "auto",
    device: str = "auto",
    where: Mapping[str, Any] | None = None,
    jsonl: str | os.PathLike[str] | None = None,
    annotate: Any = None,
    report: Any = None,
    sinks: Iterable[Any] = (),
    overwrite: bool = False,
    stream: str | None = None,
    context: Mapping[str, Any] | None = None,
    keep_frames: bool = False,
    progress: bool | None = None,
    rate: float = 25.0,
) -> Run:
    """Looks for something in a source; the source is opened here, so mistakes and missing files raise here.

    source: path, URI, ``Source``, or an iterable of uint8 pictures (``rate`` of them a second) or Frames.
    detect: an adapter's name, a spec such as ``vl.people(every=1)``, a list of them, or a dict name -> spec.
    every, tolerance, start, end: seconds of media time. jsonl: a path, or '-' for standard output. annotate: a .mp4, .mov or .ts file
    that gets every picture with what was found drawn on it, or a sink such as ``vl.annotate("out.mp4", pixelate=["person"])``. report: an
    HTML page with video, timelines, top moments and failures, or a sink such as ``vl.report("out.html", title="The street")``.

    >>> for frame in analyze("street.mp4", "people", every=0.5):
    ...     print(frame.media_time, len(frame["people"]))
    """
    specs = chosen_specs(detect, config, {"every": every, "tolerance": tolerance, "where": where})
    analyzer = _vidloom.Analyzer(specs, device=device)
    return start_run(
        analyzer,
        source,
        start=start,
        end=end,
        max_frames=max_frames,
        mode=mode,
        jsonl=jsonl,
        annotate=annotate,
        report=report,
        sinks=sinks,
        overwrite=overwrite,
        stream=stream,
        context=context,
        keep_frames=keep_frames,
        progress=progress,
        rate=rate,
        owned=analyzer,
    )
