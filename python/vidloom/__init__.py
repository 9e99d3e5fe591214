"""Live video with AI in the loop.

>>> import vidloom as vl
>>> for frame in vl.analyze("street.mp4", "people", every=0.5):
...     print(frame.media_time, len(frame["people"]))
"""

from __future__ import annotations

import atexit as _atexit
from typing import Any as _Any

from . import _log as _log
from . import _vidloom
from ._adapters import AdapterInfo, DetectionAdapter, Item, adapter, adapters, register_adapter
from ._analyzer import Analyzer, Engine
from ._run import Run, Summary, analyze
from ._sinks import Sink, SinkInfo, annotate, annotated, contact_sheet, register_sink, report, video
from ._sources import Source, SourceContext, StreamInfo, open_source, probe, register_source
from ._specs import (
    Spec,
    Where,
    clip,
    cloud,
    cloud_vision,
    faces,
    failover,
    lan,
    load_analyses,
    local,
    logos,
    motion,
    people,
    text,
    visual,
    where_from_env,
    yolo,
)
from ._vidloom import (
    BatchContext,
    Detection,
    Detections,
    End,
    Frame,
    FrameResult,
    Image,
    Label,
    Outcome,
    Report,
    SourceInfo,
    StreamEvent,
    Trace,
    imaging_stats,
)
from .errors import ConfigError, Error, ForkedProcessError, ModelError, NotBuiltError, OutputError, SourceError

__version__: str = _vidloom.version()


def doctor() -> dict[str, _Any]:
    """What is built, what is missing, the line that adds it: as ``vidloom doctor --json``. Loads each component."""
    return _vidloom.doctor()


__all__ = [
    "AdapterInfo",
    "Analyzer",
    "BatchContext",
    "ConfigError",
    "Detection",
    "DetectionAdapter",
    "Detections",
    "End",
    "Engine",
    "Error",
    "ForkedProcessError",
    "Frame",
    "FrameResult",
    "Image",
    "Item",
    "Label",
    "ModelError",
    "NotBuiltError",
    "Outcome",
    "OutputError",
    "Report",
    "Run",
    "Sink",
    "SinkInfo",
    "Source",
    "SourceContext",
    "SourceError",
    "SourceInfo",
    "Spec",
    "StreamEvent",
    "StreamInfo",
    "Summary",
    "Trace",
    "Where",
    "__version__",
    "adapter",
    "adapters",
    "analyze",
    "annotate",
    "annotated",
    "clip",
    "cloud",
    "cloud_vision",
    "contact_sheet",
    "doctor",
    "faces",
    "failover",
    "imaging_stats",
    "lan",
    "load_analyses",
    "local",
    "logos",
    "motion",
    "open_source",
    "people",
    "probe",
    "register_adapter",
    "register_sink",
    "register_source",
    "report",
    "text",
    "video",
    "visual",
    "where_from_env",
    "yolo",
]

# FFmpeg's own messages go where ours go; a process that uses Vidloom otherwise finds them on its stderr.
_vidloom.route_ffmpeg_log()
# Registered before whatever the program registers, hence run after it.
_atexit.register(_vidloom.shutdown)


_ON_DEMAND = ("testing", "torch")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ON_DEMAND])


def __getattr__(name: str) -> _Any:
    if name in _ON_DEMAND:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
