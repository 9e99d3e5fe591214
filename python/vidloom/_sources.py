"""Sources: built-in ones, one's own, and anything that yields pictures."""

from __future__ import annotations

import inspect
import operator
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import GeneratorType, TracebackType
from typing import Any

from . import _log, _vidloom
from ._vidloom import End, Frame, SourceInfo, StreamEvent
from .errors import ConfigError, NotBuiltError, SourceError

ReadResult = Frame | StreamEvent | End | None


@dataclass(frozen=True)
class SourceContext:
    """What a source is opened with."""

    stream: int = 0


class Source:
    """Frames of one stream, pulled from one thread. Subclass it: ``open``, ``read``, and ``close`` where there is something to close.

    Iterating any source opens it, gives its frames (events are passed over) and closes it, also on ``break``.
    """

    def open(self, ctx: SourceContext) -> SourceInfo | None:
        """Blocks. Raises SourceError. None stands for ``SourceInfo()``."""
        return None

    def read(self) -> ReadResult:
        """Blocks. The next Frame or StreamEvent; ``End()`` (or None) after the last one."""
        raise NotImplementedError(f"{type(self).__name__} has no read()")

    def interrupt(self) -> None:
        """Ends a read() under way. Called from any thread."""

    def close(self) -> None:
        """Idempotent; open() may follow."""

    def seek(self, media_time: float) -> None:
        """The next read() gives the first frame at or after ``media_time`` seconds."""
        raise ConfigError(f"{type(self).__name__} is not seekable")

    def frames_at(self, times: Iterable[float] | None = None, *, indices: Iterable[int] | None = None) -> list[Frame]:
        """The pictures at ``times`` (seconds of media time), or the ones numbered ``indices`` (0 is the first shown), in the order asked.

        For a time it is the first picture at or after it; duplicates are allowed. Raises ConfigError naming what is outside the film.
        A file decodes each needed part once, beside each other where cores are free; it is opened when it is not open, and stays open,
        so that asking again costs no second look through it. Sources of one's own are opened and read once from their beginning.
        All frames are held at once: ask in parts where they are many.
        """
        return _frames_by_reading(self, *_asked(times, indices))

    def __iter__(self) -> Iterator[Frame]:
        host = SourceHost(self)
        try:
            host.open()
            while not isinstance(result := host.read(), End):
                if isinstance(result, Frame):
                    yield result
        finally:
            self.close()
            _log.drain()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OpenedSource(Source):
    """A built-in source, as ``open_source`` makes it."""

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        self.uri = uri
        self.native = _vidloom.open_source(os.fsencode(uri), dict(options))
        self._is_open = False

    def open(self, ctx: SourceContext | None = None) -> SourceInfo:
        info = self.native.open()
        self._is_open = True
        return info

    def read(self) -> ReadResult:
        return self.native.read()

    def interrupt(self) -> None:
        self.native.interrupt()

    def close(self) -> None:
        self._is_open = False
        self.native.close()

    def seek(self, media_time: float) -> None:
        self.native.seek(media_time)

    def frames_at(self, times: Iterable[float] | None = None, *, indices: Iterable[int] | None = None) -> list[Frame]:
        times, indices = _asked(times, indices)
        if not self._is_open:
            self.open()
        try:
            return self.native.frames_at(times) if indices is None else self.native.frames_by_index(indices)
        finally:
            _log.drain()

    @property
    def stats(self) -> dict[str, int]:
        """Counts since open: packets, skipped, decoded, concealed, repairs, errors, decoders."""
        return self.native.stats

    def __repr__(self) -> str:
        return f"open_source({_vidloom.redact(self.uri)!r})"


def _asked(times: Iterable[float] | None, indices: Iterable[int] | None) -> tuple[list[float], list[int] | None]:
    if (times is None) == (indices is None):
        raise ConfigError("frames_at() takes times in seconds, or indices=; give one of them")
    if indices is None:
        return [float(time) for time in times or ()], None
    numbers = [operator.index(index) for index in indices]
    for number in numbers:
        if number < 0:
            raise ConfigError(f"frames_at: index {number} is negative; count pictures from 0")
    return [], numbers


def _frames_by_reading(source: Source, times: list[float], indices: list[int] | None) -> list[Frame]:
    wanted: list[Any] = list(times) if indices is None else list(indices)
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    found: dict[int, Frame] = {}
    last: Frame | None = None
    begin = 0.0
    for number, frame in enumerate(source):
        begin = frame.media_time if last is None else begin
        last = frame
        while len(found) < len(order) and wanted[order[len(found)]] <= (frame.media_time if indices is None else number):
            if indices is None and wanted[order[len(found)]] < begin:
                break
            found[order[len(found)]] = frame
        if len(found) == len(order):
            break
    if len(found) < len(order):
        missing = wanted[order[len(found)]]
        what = f"{missing} s" if indices is None else f"index {missing}"
        end = "which has no pictures" if last is None else f"which runs from {begin} to {last.media_time} s"
        raise ConfigError(f"frames_at: {what} is outside the film, {end}")
    return [found[position] for position in range(len(wanted))]


class IterableSource(Source):
    """Pictures of an iterable: uint8 arrays of shape (height, width, 3) RGB or (height, width), or Frames. Copied as they come."""

    def __init__(self, pictures: Iterable[Any], rate: float = 25.0) -> None:
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1_000_000:
            raise ConfigError(f"rate is {rate!r}; use pictures a second, above 0")
        self.rate = rate
        self._pictures = pictures
        self._iterator: Iterator[Any] | None = None
        self._first: list[Frame] = []

    def open(self, ctx: SourceContext) -> SourceInfo:
        self._iterator = iter(self._pictures)
        self._first = [as_frame(picture) for picture in [next(self._iterator, None)] if picture is not None]
        time_base = _time_base(self.rate)
        return SourceInfo(size=self._first[0].size if self._first else None, codec="raw", time_base=time_base)

    def read(self) -> ReadResult:
        if self._iterator is None:
            raise SourceError("read() of a source that is not open")
        if self._first:
            return self._first.pop()
        for picture in self._iterator:
            return picture if isinstance(picture, (StreamEvent, End)) else as_frame(picture)
        return End()

    def close(self) -> None:
        if isinstance(self._iterator, GeneratorType):
            self._iterator.close()
        self._iterator = None


def as_frame(picture: Any, format: str = "rgb") -> Frame:
    """A Frame as it is, anything array-like by copy."""
    return picture if isinstance(picture, Frame) else Frame.from_array(picture, format)


def _time_base(rate: float) -> tuple[int, int]:
    from fractions import Fraction

    period = 1 / Fraction(rate).limit_denominator(1001)
    return period.numerator, period.denominator


def raised_by_signal_handler(traceback: TracebackType | None) -> bool:
    """Whether a handler of this process raised what has this traceback: Celery's SoftTimeLimitExceeded."""
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {getattr(getattr(handler, "__func__", handler), "__code__", None) for handler in handlers} - {None}
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False


class SourceHost:
    """A Python source as C++ calls it: answers are checked, pictures without a time of their own get one."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.index = 0
        self.time_base = _time_base(getattr(source, "rate", 25.0))

    def open(self) -> SourceInfo:
        self.index = 0
        info = self.source.open(SourceContext())
        if info is None:
            return SourceInfo()
        if not isinstance(info, SourceInfo):
            raise SourceError(f"{self._name()}.open() returned a {type(info).__name__}; return vl.SourceInfo(...) or None")
        return info

    def read(self) -> Frame | StreamEvent | End:
        result: Any = self.source.read()
        if result is None or result is End or isinstance(result, End):
            return End()
        if isinstance(result, StreamEvent):
            return result
        if not isinstance(result, Frame):
            if not hasattr(result, "__array__") and not hasattr(result, "__array_interface__"):
                raise SourceError(f"{self._name()}.read() returned a {type(result).__name__}; return vl.Frame, vl.StreamEvent or vl.End()")
            result = Frame.from_array(result)
        frame: Frame = result
        if frame.pts == 0 and frame.time_base == (1, 1):
            frame = frame.with_time(self.index, self.time_base)
        self.index += 1
        return frame

    def interrupt(self) -> None:
        self.source.interrupt()

    def close(self) -> None:
        self.source.close()

    def seek(self, media_time: float) -> None:
        self.source.seek(media_time)

    def _name(self) -> str:
        return type(self.source).__name__


def open_source(uri: str | os.PathLike[str], **options: Any) -> Source:
    """The source for a path or ``scheme:...``. Opens nothing yet; iterate it, or pass it to ``analyze``."""
    return OpenedSource(os.fspath(uri), options)


def native_source(source: Any, rate: float = 25.0) -> Any:
    """Whatever ``analyze`` takes as a source, as the bindings want it."""
    if isinstance(source, OpenedSource):
        return source.native
    if isinstance(source, Source):
        return SourceHost(source)
    if isinstance(source, (str, os.PathLike)):
        return _vidloom.open_source(os.fsencode(source), {})
    if isinstance(source, int) and not isinstance(source, bool):
        raise NotBuiltError(f"source {source} is a webcam, which is not in this version; use a file, 'test:' or an iterable of pictures")
    shape = getattr(source, "shape", None)
    if isinstance(source, Frame) or (shape is not None and (len(shape) < 3 or (len(shape) == 3 and shape[-1] == 3))):
        raise ConfigError("source is a single picture; use Analyzer.analyze_frame(picture), or [picture]")
    if isinstance(source, (bytes, bytearray, Mapping)) or not isinstance(source, Iterable):
        raise ConfigError(f"source is of type {type(source).__name__}; use a path, a URI, a vl.Source, or an iterable of uint8 pictures")
    return SourceHost(IterableSource(source, rate))


@dataclass(frozen=True)
class StreamInfo:
    """What ``probe`` found out; the same facts as ``vidloom probe --json``."""

    source: str
    live: bool
    seekable: bool
    codec: str
    frame_size: tuple[int, int]
    coded_size: tuple[int, int]
    pixel_format: str
    duration: float | None
    time_base: tuple[int, int]
    start: float
    clock: str
    colour: dict[str, Any]
    sample_aspect: tuple[int, int]
    rotation: int
    details: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in display pixels."""
        return self.frame_size

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}


def probe(uri: str | os.PathLike[str]) -> StreamInfo:
    """Opens the source, decodes its first picture, and says what it is. Raises SourceError."""
    try:
        facts = _vidloom.probe(os.fsencode(uri))
    finally:
        _log.drain()
    known: dict[str, Any] = {name: facts.get(name) for name in StreamInfo.__dataclass_fields__}
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return StreamInfo(**known)


def call_factory(factory: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Calls ``factory(uri, **options)``, or without the uri where it takes none."""
    options = dict(options)
    uri = options.pop("uri", "")
    signature = inspect.signature(factory)
    for arguments, keywords in (((uri,), options), ((), {"uri": uri, **options}), ((), options)):
        try:
            signature.bind(*arguments, **keywords)
        except TypeError:
            continue
        return factory(*arguments, **keywords)
    names = ", ".join(options) or "none"
    raise ConfigError(f"{getattr(factory, '__name__', factory)!r} does not take (uri) with the options given ({names})")


def register_source(scheme: str, factory: Callable[..., Source]) -> None:
    """Makes ``scheme:...`` open the Source that ``factory(uri, **options)`` returns."""
    if not callable(factory):
        raise ConfigError(
            f"register_source('{scheme}', ...) got a {type(factory).__name__}; use a class or function that returns a vl.Source"
        )

    def make(options: dict[str, Any]) -> SourceHost:
        source = call_factory(factory, options)
        if not isinstance(source, Source):
            if isinstance(source, Iterable):
                return SourceHost(IterableSource(source))
            raise SourceError(f"the factory of source '{scheme}:' returned a {type(source).__name__}; return a vl.Source")
        return SourceHost(source)

    _vidloom.register_source(scheme, make)
