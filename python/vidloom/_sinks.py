"""Sinks: whatever takes results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import _vidloom
from ._sources import call_factory
from ._vidloom import FrameResult, SourceInfo, StreamEvent
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


def native_sinks(sinks: Any) -> list[Any]:
    """Whatever ``sinks=`` takes, as the bindings want it."""
    if isinstance(sinks, (str, Sink)):
        sinks = [sinks]
    if not isinstance(sinks, Iterable):
        raise ConfigError(f"sinks is of type {type(sinks).__name__}; use a list of vl.Sink objects and URIs")
    found: list[Any] = []
    for sink in sinks:
        if isinstance(sink, str):
            found.append(_vidloom.make_sink(os.fsencode(sink), {}))
        elif isinstance(sink, Sink):
            found.append(SinkHost(sink))
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
