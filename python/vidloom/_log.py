"""Messages of the C++ library, handed to ``logging`` whenever a call returns: never from a foreign thread."""

from __future__ import annotations

import logging
import os

from . import _vidloom

logger = logging.getLogger("vidloom")
logger.addHandler(logging.NullHandler())

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_kept = ""


def follow_level() -> None:
    """The library keeps what the logger ``vidloom`` lets through, unless VIDLOOM_LOG_LEVEL says otherwise."""
    global _kept
    if os.environ.get("VIDLOOM_LOG_LEVEL"):
        return
    level = logger.getEffectiveLevel()
    wanted = next((name for name, number in _LEVELS.items() if level <= number), "off")
    if wanted != _kept:
        _vidloom.set_log_level(wanted)
        _kept = wanted


def drain() -> None:
    """Hands all waiting messages over."""
    records, dropped = _vidloom.take_log()
    for level, area, message, created in records:
        target = logger.getChild(area)
        if target.isEnabledFor(_LEVELS[level]):
            record = target.makeRecord(target.name, _LEVELS[level], "(vidloom)", 0, message, (), None)
            record.created = created
            target.handle(record)
    if dropped:
        logger.warning("%d messages were lost: more came than were read", dropped)
