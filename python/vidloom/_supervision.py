"""To and from ``supervision.Detections``."""

from __future__ import annotations

from typing import Any

from . import _vidloom
from .errors import NotBuiltError


def to_supervision(detections: Any) -> Any:
    """The boxes of an Outcome or Detections, with class names and raw scores in ``data``."""
    try:
        import supervision
    except ImportError as error:
        raise NotBuiltError("to_supervision() needs the package supervision: pip install supervision") from error
    import numpy

    def known(column: Any, missing: Any) -> Any:
        return None if len(column) and missing(column).all() else column

    data: dict[str, Any] = {}
    if any(detections.class_name):
        data["class_name"] = numpy.array(detections.class_name, dtype=str)
    raw_score = known(detections.raw_score, numpy.isnan)
    if raw_score is not None and len(raw_score):
        data["raw_score"] = raw_score
    if any(text is not None for text in detections.text):
        data["text"] = numpy.array([text or "" for text in detections.text], dtype=str)
    return supervision.Detections(
        xyxy=detections.xyxy,
        confidence=known(detections.confidence, numpy.isnan),
        class_id=known(detections.class_id.astype(int), lambda ids: ids < 0),
        tracker_id=known(detections.tracker_id.astype(int), lambda ids: ids < 0) if len(detections) else None,
        data=data,
    )


def is_supervision(answer: Any) -> bool:
    """Whether it is a ``supervision.Detections``; does not import the package."""
    return type(answer).__name__ == "Detections" and type(answer).__module__.split(".")[0] == "supervision"


def from_supervision(detections: Any) -> _vidloom.Detections:
    """Boxes, confidence, ids, and of ``data`` class_name, raw_score and text."""
    data = detections.data or {}
    return _vidloom.Detections(
        detections.xyxy,
        detections.confidence,
        detections.class_id,
        data.get("class_name"),
        data.get("raw_score"),
        text=data.get("text"),
        tracker_id=detections.tracker_id,
    )
