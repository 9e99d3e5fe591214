"""``Analyzer``: segments, files and pictures from many threads, with models that load once per process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import _log, _vidloom
from ._run import Run, names_of, start_run
from ._sources import as_frame
from ._specs import Detect, Spec, chosen_specs
from ._vidloom import FrameResult, Report
from .errors import ConfigError, NotBuiltError


class Analyzer:
    """Finite work, dropping nothing. Checks everything at once and starts, loads and opens nothing until it is used, so that it may
    stand at module level in a Celery app: each process loads at its first use. Thread-safe.

    analyses: a dict name -> spec, a list of names and specs, or the path of an ``analyses.json``. device: 'auto' asks VIDLOOM_DEVICE.
    """

    def __init__(
        self,
        analyses: Detect | os.PathLike[str],
        *,
        device: str = "auto",
        where: Mapping[str, Any] | None = None,
        deterministic: bool = False,
    ) -> None:
        if isinstance(analyses, (str, os.PathLike)):
            if isinstance(analyses, str) and analyses in _vidloom.adapters() and not os.path.lexists(analyses):
                raise ConfigError(f"analyses is '{analyses}', an adapter and no file; use ['{analyses}'], or the path of an analyses.json")
            specs = chosen_specs(None, analyses, {"where": where})
        elif analyses is not None and not analyses:
            specs = {}
        else:
            specs = chosen_specs(analyses, None, {"where": where})
        self._native = _vidloom.Analyzer(specs, device=device, deterministic=deterministic)

    def analyze(self, source: Any, **options: Any) -> Run:
        """As ``vl.analyze``, with these analyses; besides ``only`` (names) and ``deadline`` (seconds for all of it)."""
        return start_run(self._native, source, **options)

    def analyze_segment(
        self,
        path: str | os.PathLike[str],
        *,
        stream: str | None = None,
        context: Mapping[str, Any] | None = None,
        only: Iterable[str] | None = None,
        deadline: float | None = None,
    ) -> Report:
        """All of one segment. With ``stream`` its segments follow each other and motion remembers; ``deadline``: seconds for the whole
        call. Raises SourceError where it cannot be opened; failures of single answers stand in the report."""
        _log.follow_level()
        try:
            return self._native.analyze_segment(os.fsencode(path), stream=stream, context=context, only=names_of(only), deadline=deadline)
        finally:
            _log.drain()

    def analyze_frame(
        self,
        image: Any,
        *,
        format: str = "rgb",
        only: Iterable[str] | None = None,
        deadline: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> FrameResult:
        """All analyses look at one picture: a uint8 array of ``format``, a Frame, or anything NumPy reads as one."""
        _log.follow_level()
        try:
            return self._native.analyze_frame(as_frame(image, format), only=names_of(only), deadline=deadline, context=context)
        finally:
            _log.drain()

    def warm_up(self) -> None:
        """Loads everything now instead of at first use."""
        try:
            self._native.warm_up()
        finally:
            _log.drain()

    def set_analysis(self, name: str, spec: Mapping[str, Any] | str) -> None:
        """Adds an analysis, or replaces the one of that name. Runs under way keep what they began with."""
        self._native.set_analysis(name, chosen_specs({name: spec}, None, {})[name])

    def remove_analysis(self, name: str) -> bool:
        """Whether there was one."""
        return self._native.remove_analysis(name)

    @property
    def analyses(self) -> dict[str, Spec]:
        """Name -> spec."""
        return {name: Spec(spec) for name, spec in self._native.analyses.items()}

    def health(self) -> dict[str, Any]:
        """Per analysis: adapter, where, loaded, jobs, errors, the last error; once loaded with a model its precision, name and id."""
        return self._native.health()

    def close(self) -> None:
        """Ends runs under way and gives the models back. Idempotent."""
        self._native.close()
        _log.drain()

    def __enter__(self) -> Analyzer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Analyzer({', '.join(self._native.analyses)})"


class Engine:
    """Live streams. Not in this version."""

    def __init__(self, *, decode_threads: int = 0) -> None:
        raise NotBuiltError("Engine (live streams) is not in this version; use vl.analyze or vl.Analyzer for files and segments")
