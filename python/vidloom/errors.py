"""The errors of Vidloom. Every one says what was wrong, where, and what to do.

``code`` is one of the frozen words of the result records; ``retryable`` says that the same call may succeed later, after
``retry_after`` seconds where that is known. All of them pickle.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ConfigError", "Error", "ForkedProcessError", "ModelError", "NotBuiltError", "OutputError", "SourceError"]


class Error(Exception):
    """Base of all errors of Vidloom."""

    code: str = "internal"
    retryable: bool = False
    retry_after: float | None = None

    def __init__(self, message: str = "", *, code: str | None = None, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.retryable = retryable
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigError(Error, ValueError):
    """A name, option or file that cannot be used as it is. The message names the field, the value and the fix."""

    code = "config"


class NotBuiltError(Error, ImportError):
    """A part that is not in this build or not installed. The message says how to add it."""

    code = "not_built"


class SourceError(Error, OSError):
    """A source could not be opened or read, or gave no picture."""

    code = "source"


class ModelError(Error):
    """An adapter or its model failed."""

    code = "model"


class OutputError(Error, OSError):
    """A result could not be written; what was written before is readable."""

    code = "output"


class ForkedProcessError(Error, RuntimeError):
    """Used before a fork and again in the child process."""

    code = "forked"


_CLASSES: dict[str, type[Error]] = {
    "config": ConfigError,
    "not_built": NotBuiltError,
    "source": SourceError,
    "decode": SourceError,
    "model": ModelError,
    "output": OutputError,
    "forked": ForkedProcessError,
}


def from_code(code: str, message: str, retryable: bool, retry_after: float | None) -> Error:
    """The error of the class that belongs to ``code``."""
    return _CLASSES.get(code, Error)(message, code=code, retryable=retryable, retry_after=retry_after)


def raise_for_status(report: Any) -> None:
    """What ``Report.raise_for_status()`` does."""
    if report.status == "ok":
        return
    causes: list[Error] = []
    first = ""
    for frame in report.frames:
        for name, outcome in frame.items():
            if not outcome.answered:
                causes.append(outcome.error)
                first = first or f"'{name}' at {frame.media_time:.3f} s: "
    if report.error is not None:
        causes.append(report.error)
    if not causes:
        raise Error(f"{report.stream}: {report.answered} of {report.due} frames answered")
    waits = [error.retry_after for error in causes if error.retry_after is not None]
    raise from_code(
        causes[0].code,
        f"{report.stream}: {report.answered} of {report.due} frames answered; {first}{causes[0]}",
        all(error.retryable for error in causes),
        max(waits, default=None),
    ) from causes[0]


def _rebuild(cls: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
    error = cls.__new__(cls)
    Exception.__init__(error, *args)
    error.args = args
    error.__dict__.update(state)
    return error
