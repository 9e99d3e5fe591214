"""Sinks: whatever takes results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from . import _vidloom
from ._sources import call_factory
from ._vidloom import Frame, FrameResult, NativeSink, SourceInfo, StreamEvent
from .errors import ConfigError, OutputError


@dataclass(frozen=True)
class SinkInfo:
    """What a sink wants: ``every_frame``: also frames on which nothing was due; ``pixels``: ``result.frame`` is set; ``each``: one
    call per outcome."""

    every_frame: bool = False
    pixels: bool = False
    each: bool = False


class Sink:
    """Takes results. Per stream ``open``, ``write`` and ``event`` in order, ``close``. ``stream`` is its number in this process."""

    def info(self) -> SinkInfo:
        return SinkInfo()

    def open(self, stream: int, source: SourceInfo) -> None:
        """Raises OutputError."""

    def write(self, result: FrameResult) -> None:
        """Raises OutputError."""
        raise NotImplementedError(f"{type(self).__name__} has no write()")

    def event(self, stream: int, event: StreamEvent) -> None:
        """Something happened between two frames; 'ended' comes last."""

    def close(self, stream: int) -> None:
        """After it that stream's output is whole."""


class SinkHost:
    """A Python sink as C++ calls it."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.open = sink.open
        self.write = sink.write
        self.event = sink.event
        self.close = sink.close

    def info(self) -> SinkInfo:
        info = self.sink.info() or SinkInfo()
        if not isinstance(info, SinkInfo):
            raise OutputError(f"{type(self.sink).__name__}.info() returned a {type(info).__name__}; return vl.SinkInfo(...)")
        return info


def video(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    codec: str | None = None,
    preset: str = "veryfast",
    quality: int = 20,
    audio: bool = True,
) -> NativeSink:
    """A sink that writes every picture of the stream, at its own time and with the file's own sound, to a .mp4, .m4v, .mov or .ts file.

    codec: FFmpeg's name of an encoder; None: libx264, else the next best. quality: libx264's rate factor, 0 (best) to 51.
    The name is taken at once. One sink takes one stream, once. Raises OutputError where the file exists and overwrite is not set.
    """
    options = {"overwrite": overwrite, "codec": codec or "", "preset": preset, "quality": quality, "audio": audio}
    return _vidloom.make_sink(b"video:" + os.fsencode(path), options)


# What annotate() made, while it lives: a report of the same run hides the same classes, and may play the film.
drawn: WeakKeyDictionary[NativeSink, dict[str, Any]] = WeakKeyDictionary()


def report(
    path: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    plays_source: bool = False,
    title: str = "",
    moments: int = 24,
    blur: str | Iterable[str] = (),
    pixelate: str | Iterable[str] = (),
    overwrite: bool = False,
) -> NativeSink:
    """A sink that writes one HTML page: a video, a timeline per class, pictures of the best moments, and all that failed.

    video: a film of the same pictures that the page plays, such as the annotated one of the same run; None: one of its own, out.mp4 for
    out.html. plays_source: the analysed file itself is played. moments: pictures kept of a stream, 1 to 200. blur, pixelate: classes that
    must not be seen, in its film and its pictures. Raises OutputError where a file exists and overwrite is not set.

    >>> vl.analyze("street.mp4", "people", report=vl.report("out.html", title="The street")).run()
    """
    options: dict[str, Any] = {"overwrite": overwrite, "plays_source": plays_source, "title": title, "moments": moments}
    if video is not None:
        options["video"] = os.fspath(video)
    options |= {"blur": _names("blur", blur), "pixelate": _names("pixelate", pixelate)}
    return _vidloom.make_sink(b"report:" + os.fsencode(path), options)


def contact_sheet(
    path: str | os.PathLike[str],
    *,
    columns: int = 4,
    cells: int = 12,
    width: int = 320,
    blur: str | Iterable[str] = (),
    pixelate: str | Iterable[str] = (),
    overwrite: bool = False,
) -> NativeSink:
    """A sink that writes one PNG with the best moments in a grid, what was found drawn on them.

    cells: at most so many pictures; width: of each, in pixels. blur, pixelate: classes that must not be seen. Raises OutputError where the
    file exists and overwrite is not set.

    >>> vl.analyze("street.mp4", "people", sinks=[vl.contact_sheet("out.png")]).run()
    """
    options: dict[str, Any] = {"overwrite": overwrite, "columns": columns, "cells": cells, "width": width}
    options |= {"blur": _names("blur", blur), "pixelate": _names("pixelate", pixelate)}
    return _vidloom.make_sink(b"sheet:" + os.fsencode(path), options)


def _names(field: str, value: Any) -> list[str]:
    found = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(name, str) for name in found):
        raise ConfigError(f"{field} is {value!r}; use names of classes, or '*' for all")
    return found


def _style(blur: Any, pixelate: Any, scale: float, font: str, kinds: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "blur": _names("blur", blur),
        "pixelate": _names("pixelate", pixelate),
        "scale": float(scale),
        "font": font,
        "kinds": {kind: dict(style) for kind, style in (kinds or {}).items()},
    }


def annotate(
    to: str | os.PathLike[str] | Sink | NativeSink,
    *,
    blur: Iterable[str] = (),
    pixelate: Iterable[str] = (),
    scale: float = 1.0,
    font: str = "Sans",
    kinds: Mapping[str, Mapping[str, Any]] | None = None,
    overwrite: bool = False,
) -> NativeSink:
    """A sink that draws what was found onto each picture and gives it to another: a video file by its name, or any sink.

    blur, pixelate: classes whose boxes are made unrecognisable; '*': all. scale: of lines and letters. kinds: how a kind looks, such as
    {"object": {"boxes": True, "labels": False, "colour": (255, 0, 0), "line": 2}}. overwrite: of a video file.

    >>> vl.analyze("street.mp4", "people", annotate=vl.annotate("out.mp4", pixelate=["person"])).run()
    """
    style = _style(blur, pixelate, scale, font, kinds)
    if isinstance(to, (str, os.PathLike)):
        sink: Any = video(to, overwrite=overwrite)
    elif overwrite:
        raise ConfigError("overwrite is for a video file; give it to the sink that annotate() writes to")
    else:
        (sink,) = native_sinks([to])
    made = _vidloom.annotate(sink, **style)
    film = os.fspath(to) if isinstance(to, (str, os.PathLike)) else None
    drawn[made] = {"film": film, "blur": style["blur"], "pixelate": style["pixelate"]}
    return made


def annotated(
    frame: Frame,
    result: FrameResult,
    *,
    blur: Iterable[str] = (),
    pixelate: Iterable[str] = (),
    scale: float = 1.0,
    font: str = "Sans",
    kinds: Mapping[str, Mapping[str, Any]] | None = None,
) -> Frame:
    """One picture with its results drawn on it, upright. Options as in annotate().

    >>> vl.annotated(result.frame, result).save("found.png")
    """
    return _vidloom.annotated(frame, result, **_style(blur, pixelate, scale, font, kinds))


def native_sinks(sinks: Any) -> list[Any]:
    """Whatever ``sinks=`` takes, as the bindings want it."""
    if isinstance(sinks, (str, Sink, NativeSink)):
        sinks = [sinks]
    if not isinstance(sinks, Iterable):
        raise ConfigError(f"sinks is of type {type(sinks).__name__}; use a list of vl.Sink objects and URIs")
    found: list[Any] = []
    for sink in sinks:
        if isinstance(sink, str):
            found.append(_vidloom.make_sink(os.fsencode(sink), {}))
        elif isinstance(sink, Sink):
            found.append(SinkHost(sink))
        elif isinstance(sink, NativeSink):
            found.append(sink)
        else:
            raise ConfigError(f"sinks holds {sink!r}; use vl.Sink objects and URIs such as 'jsonl:out.jsonl'")
    return found


def register_sink(name: str, factory: Callable[..., Sink]) -> None:
    """Makes ``name:...`` the Sink that ``factory(uri, **options)`` returns."""
    if not callable(factory):
        raise ConfigError(f"register_sink('{name}', ...) got a {type(factory).__name__}; use a class or function that returns a vl.Sink")

    def make(options: dict[str, Any]) -> SinkHost:
        sink = call_factory(factory, options)
        if not isinstance(sink, Sink):
            raise OutputError(f"the factory of sink '{name}' returned a {type(sink).__name__}; return a vl.Sink")
        return SinkHost(sink)

    _vidloom.register_sink(name, make)
