"""Adapters of one's own: a class or a function, registered by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from . import _supervision, _vidloom
from ._vidloom import BatchContext, Detections, Frame
from .errors import ConfigError, ModelError

KINDS = ("object", "logo", "face", "motion", "text", "scene", "visual")
PIXELS = ("none", "luma", "colour")
OUTPUTS = ("detections", "labels", "attributes", "embedding")
_USUAL_OUTPUTS = {"visual": ("attributes",), "scene": ("labels",)}


@dataclass
class AdapterInfo:
    """What an adapter is. ``pixels``: what it reads of a frame; ``max_batch``: most items of one ``detect`` call; ``max_wait``:
    longest a picture waits for company, in seconds; ``outputs``: which lists stand in records even when empty."""

    kind: str = "object"
    max_batch: int = 1
    pixels: str = "colour"
    per_stream_state: bool = False
    vocabulary: Sequence[str] = ()
    outputs: Sequence[str] | None = None
    healthy_only: bool = False
    max_wait: float = 0.0
    model_name: str = ""
    model_sha256: str = ""

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, KINDS)
        _one_of("pixels", "colour" if self.pixels == "color" else self.pixels, PIXELS)
        if isinstance(self.max_batch, bool) or not isinstance(self.max_batch, int) or self.max_batch < 1:
            raise ConfigError(f"AdapterInfo.max_batch is {self.max_batch!r}; use 1 or more")
        if self.outputs is None:
            self.outputs = _USUAL_OUTPUTS.get(self.kind, ("detections",))
        for output in self.outputs:
            _one_of("outputs", output, OUTPUTS)
        self.vocabulary = [str(name) for name in self.vocabulary or ()]


def _one_of(field: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        near = _vidloom.nearest(str(value), list(known))
        raise ConfigError(f"AdapterInfo.{field} is {value!r}; " + (f"did you mean '{near}'?" if near else f"use one of {', '.join(known)}"))


@dataclass(frozen=True)
class Item:
    """One picture to look at. ``state``: of its stream, with ``per_stream_state``; ``regions``: look only inside these boxes
    (x1, y1, x2, y2), display pixels; empty: everywhere."""

    frame: Frame
    state: Any = None
    regions: Sequence[tuple[float, float, float, float]] = ()


class DetectionAdapter:
    """What is looked for. Subclass it and ``register_adapter``; options of a spec arrive as keyword arguments of ``__init__``."""

    def info(self) -> AdapterInfo:
        """Complete after ``load``."""
        return AdapterInfo()

    def load(self) -> None:
        """Reads weights, on the thread that will call ``detect``."""

    def new_state(self) -> Any:
        """What ``item.state`` holds for a new stream, with ``per_stream_state``."""
        return None

    def detect(self, items: Sequence[Item], ctx: BatchContext) -> Sequence[Any]:
        """One entry per item, in order: ``Detections``, ``supervision.Detections``, a dict of attributes, a list of labels
        (``Label``, ``(name, confidence)`` or a name), or an exception, which fails that item alone."""
        raise NotImplementedError(f"{type(self).__name__} has no detect()")


class _FunctionAdapter(DetectionAdapter):
    def __init__(self, function: Callable[..., Any], info: AdapterInfo) -> None:
        self._function = function
        self._info = info
        self._takes_context = _positional_count(function) >= 2

    def info(self) -> AdapterInfo:
        return self._info

    def detect(self, items: Sequence[Item], ctx: BatchContext) -> Any:
        return self._function(items, ctx) if self._takes_context else self._function(items)


def _positional_count(function: Callable[..., Any]) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in inspect.signature(function).parameters.values() if p.kind in kinds and p.default is inspect.Parameter.empty)


class AdapterHost:
    """A Python adapter as C++ calls it: what it answers is checked here and turned into Detections."""

    def __init__(self, name: str, adapter: Any) -> None:
        self.name = name
        self.adapter = adapter
        self.vocabulary: Sequence[str] = ()

    def info(self) -> AdapterInfo:
        info = self.adapter.info()
        if not isinstance(info, AdapterInfo):
            raise ModelError(f"adapter '{self.name}': info() returned a {type(info).__name__}; return vl.AdapterInfo(...)")
        self.vocabulary = info.vocabulary
        return info

    def load(self) -> None:
        self.adapter.load()

    def new_state(self) -> Any:
        return self.adapter.new_state()

    def detect(self, batch: list[tuple[Frame, Any, list[Any]]], ctx: BatchContext) -> list[Any]:
        items = [Item(*entry) for entry in batch]
        try:
            answers = self.adapter.detect(items, ctx)
        except ConfigError as error:
            raise ModelError(f"adapter '{self.name}': {error}") from error
        if (
            isinstance(answers, (str, bytes, Mapping, Detections))
            or _supervision.is_supervision(answers)
            or not isinstance(answers, Iterable)
        ):
            raise ModelError(f"adapter '{self.name}' returned {_article(answers)}; return a list with one entry per item")
        answers = list(answers)
        if len(answers) != len(items):
            raise ModelError(f"adapter '{self.name}' returned {len(answers)} answers for {len(items)} items; return one per item, in order")
        return [self._checked(answer) for answer in answers]

    def _checked(self, answer: Any) -> Detections | BaseException:
        try:
            if isinstance(answer, (Detections, BaseException)):
                return answer
            if answer is None:
                return ModelError(f"adapter '{self.name}' returned None for a picture; return vl.Detections() where nothing was found")
            if isinstance(answer, Mapping):
                return Detections(attributes=dict(answer))
            if _supervision.is_supervision(answer):
                return _supervision.from_supervision(answer)
            if isinstance(answer, (list, tuple)) and not isinstance(answer, str):
                return Detections(labels=answer, vocabulary=list(self.vocabulary) or None)
            return ModelError(
                f"adapter '{self.name}' returned {_article(answer)} for a picture; return vl.Detections, supervision.Detections, "
                "a dict of attributes, a list of labels, or an exception"
            )
        except ConfigError as error:
            return ModelError(f"adapter '{self.name}': {error}")
        except Exception as error:
            return error


def _article(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _register(name: str, make: Callable[..., Any], kind: str, summary: str, parameters: Iterable[inspect.Parameter]) -> None:
    options: list[tuple[str, bool, Any]] = []
    any_option = False
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            any_option = True
        elif parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            required = parameter.default is inspect.Parameter.empty
            options.append((parameter.name, required, None if required else parameter.default))

    def host(given: dict[str, Any] | None) -> AdapterHost:
        return AdapterHost(name, make(**(given or {})))

    _vidloom.register_adapter(name, host, summary, kind, options, any_option)


def register_adapter(name: str, cls: Callable[..., Any]) -> None:
    """Makes the DetectionAdapter ``cls`` known as ``name``. Its ``__init__`` takes the options; unknown ones are refused before."""
    if isinstance(cls, DetectionAdapter):
        raise ConfigError(f"register_adapter('{name}', ...) got an instance; pass the class {type(cls).__name__} itself")
    if not callable(cls) or (isinstance(cls, type) and not callable(getattr(cls, "detect", None))):
        raise ConfigError(f"register_adapter('{name}', ...) got {cls!r}; pass a subclass of vl.DetectionAdapter")
    parameters: Iterable[inspect.Parameter] = ()
    if not isinstance(cls, type) or cls.__init__ is not object.__init__:  # type: ignore[misc]
        parameters = inspect.signature(cls).parameters.values()
    _register(name, cls, getattr(cls, "kind", "object") or "object", _first_line(cls), parameters)


def _first_line(thing: Any) -> str:
    own = thing.__dict__.get("__doc__") if isinstance(thing, type) else getattr(thing, "__doc__", None)
    return (inspect.cleandoc(own).splitlines() or [""])[0] if own else ""


Function = TypeVar("Function", bound=Callable[..., Any])


def adapter(name: str, **info: Any) -> Callable[[Function], Function]:
    """Makes an adapter of a function over ``items`` (or ``items, ctx``); ``info`` as in AdapterInfo.

    >>> @adapter("bright", kind="visual", pixels="luma")
    ... def bright(items):
    ...     return [{"brightness": float(item.frame.luma().mean())} for item in items]
    """
    try:
        described = AdapterInfo(**info)
    except TypeError as error:
        unknown = next((key for key in info if key not in AdapterInfo.__dataclass_fields__), "")
        near = _vidloom.nearest(unknown, list(AdapterInfo.__dataclass_fields__))
        hint = f"did you mean '{near}'?" if near else f"use {', '.join(AdapterInfo.__dataclass_fields__)}"
        raise ConfigError(f"@adapter('{name}') does not know '{unknown}'; {hint}") from error

    def register(function: Function) -> Function:
        _register(name, lambda: _FunctionAdapter(function, described), described.kind, _first_line(function), ())
        return function

    return register


def adapters() -> dict[str, dict[str, Any]]:
    """All adapters by name: summary, kind, options with units and defaults, what raw_score is, an example."""
    return _vidloom.adapters()
