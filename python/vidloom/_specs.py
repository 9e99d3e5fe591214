"""What to look for, and where: plain dicts with a constructor each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import _vidloom
from .errors import ConfigError, NotBuiltError

Detect = str | Mapping[str, Any] | Iterable[str | Mapping[str, Any]]


class Spec(dict[str, Any]):
    """An analysis as in ``analyses.json``: ``{"adapter": ..., "every": ..., ...}``. Equal to the same plain dict."""

    def __repr__(self) -> str:
        options = ", ".join(f"{key}={value!r}" for key, value in self.items() if key != "adapter")
        return f"{self.get('adapter', 'Spec')}({options})"


class Where(dict[str, Any]):
    """A place where adapters run, as in ``analyses.json``: ``{"type": "local"}``."""

    def health(self) -> dict[str, Any]:
        """Workers, queues and errors there."""
        return _vidloom.local_health(self)

    def __repr__(self) -> str:
        return f"{self.get('type', 'where')}()"


def _spec(adapter: str, options: Mapping[str, Any]) -> Spec:
    return Spec({"adapter": adapter, **{key: _plain(value) for key, value in options.items() if value is not None}})


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def people(
    *,
    scale: float | None = None,
    stride: int | None = None,
    largest: int | None = None,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """People standing or walking. ``scale``: pyramid step (1.05); ``stride``: window step in pixels (8); ``largest``: side searched."""
    return _spec(
        "people",
        {"scale": scale, "stride": stride, "largest": largest, "every": every, "min_confidence": min_confidence, "where": where, **options},
    )


def faces(
    *,
    scale: float | None = None,
    stride: int | None = None,
    largest: int | None = None,
    model: str | os.PathLike[str] | None = None,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """Faces seen from the front. ``scale``: step between sizes (1.05); ``stride``: faces from 3 x stride pixels on (8); ``largest``: side
    searched; ``model``: a cascade's XML file."""
    return _spec(
        "faces",
        {
            "scale": scale,
            "stride": stride,
            "largest": largest,
            "model": model,
            "every": every,
            "min_confidence": min_confidence,
            "where": where,
            **options,
        },
    )


def motion(
    *,
    history: int | None = None,
    sensitivity: float | None = None,
    min_area: float | None = None,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """What moves. ``history``: pictures the background is learned over (120); ``sensitivity``: 0..1; ``min_area``: share of the picture."""
    return _spec(
        "motion",
        {
            "history": history,
            "sensitivity": sensitivity,
            "min_area": min_area,
            "every": every,
            "min_confidence": min_confidence,
            "where": where,
            **options,
        },
    )


def visual(
    *,
    colors: int | None = None,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """Dominant colours (``colors``, 3), brightness, contrast and saturation of the whole picture."""
    return _spec("visual", {"colors": colors, "every": every, "min_confidence": min_confidence, "where": where, **options})


def logos(
    references: str | os.PathLike[str],
    *,
    max_instances: int | None = None,
    method: str | None = None,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """Logos by example. ``references``: a picture, or a folder of them; the brand is the sub-folder's name, else the file's."""
    return _spec(
        "logos",
        {
            "references": references,
            "max_instances": max_instances,
            "method": method,
            "every": every,
            "min_confidence": min_confidence,
            "where": where,
            **options,
        },
    )


def clip(
    model: str | os.PathLike[str],
    *,
    labels: Iterable[str] | None = None,
    prompts: Iterable[str] | None = None,
    negatives: Iterable[str] | None = None,
    references: Mapping[str, Any] | None = None,
    top_k: int | None = None,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """Labels by words, with a CLIP model."""
    lists = {"labels": labels, "prompts": prompts, "negatives": negatives}
    texts = {key: list(value) for key, value in lists.items() if value is not None}
    return _spec(
        "clip",
        {
            "model": model,
            **texts,
            "references": references,
            "top_k": top_k,
            "every": every,
            "min_confidence": min_confidence,
            "where": where,
            **options,
        },
    )


def yolo(
    model: str | os.PathLike[str],
    *,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """Objects, with a YOLO model."""
    return _spec("yolo", {"model": model, "every": every, "min_confidence": min_confidence, "where": where, **options})


def text(
    *,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """Text in the picture."""
    return _spec("text", {"every": every, "min_confidence": min_confidence, "where": where, **options})


def cloud_vision(
    *,
    features: Iterable[str] | None = None,
    every: float | None = None,
    min_confidence: float | Mapping[str, float] | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """Google Cloud Vision."""
    return _spec(
        "cloud_vision",
        {
            "features": None if features is None else list(features),
            "every": every,
            "min_confidence": min_confidence,
            "where": where,
            **options,
        },
    )


def local() -> Where:
    """In this process: the default."""
    return Where(type="local")


def lan(hosts: Iterable[str], *, token: str | None = None, tls: Any = None) -> Where:
    """On workers of one's own network."""
    raise NotBuiltError("where 'lan' (workers on your own network) is not in this version; use vl.local()")


def cloud(*, budget_per_day: float | None = None) -> Where:
    """At a service that is paid per call."""
    raise NotBuiltError("where 'cloud' (services on the internet) is not in this version; use vl.local()")


def failover(of: Iterable[Mapping[str, Any]], return_after: float = 30) -> Where:
    """At the first place that answers."""
    raise NotBuiltError("where 'failover' is not in this version; use vl.local()")


_MODES = {"local": local, "remote_lan": None, "remote-lan": None, "cloud": None, "cloud-gpu": None}


def where_from_env() -> Where:
    """The place that ``AI_PROCESSING_MODE`` names; local where it is not set. An unknown value is a ConfigError."""
    mode = os.environ.get("AI_PROCESSING_MODE", "").strip() or "local"
    if mode not in _MODES:
        near = _vidloom.nearest(mode, list(_MODES))
        hint = f"; did you mean '{near}'?" if near else f"; use one of {', '.join(_MODES)}"
        raise ConfigError(f"AI_PROCESSING_MODE is '{mode}'{hint}")
    if mode == "local":
        return local()
    if mode.startswith("remote"):
        return lan([os.environ.get("AI_WORKER_HOST", "")])
    return cloud()


def load_analyses(path: str | os.PathLike[str]) -> dict[str, Spec]:
    """Reads and checks an ``analyses.json``; name -> spec, paths made absolute by the file's folder."""
    return {name: Spec(spec) for name, spec in _vidloom.load_analyses(os.fsencode(path)).items()}


def named_specs(detect: Detect) -> dict[str, Spec]:
    """All forms of ``detect`` as name -> spec with its adapter filled in."""
    if isinstance(detect, str):
        return {detect: Spec(adapter=detect)}
    if isinstance(detect, Mapping):
        if isinstance(detect.get("adapter"), str):
            return {detect["adapter"]: Spec(detect)}
        named: dict[str, Spec] = {}
        for name, spec in detect.items():
            if isinstance(spec, str):
                spec = {"adapter": spec}
            if not isinstance(spec, Mapping):
                raise ConfigError(
                    f"analysis '{name}' is of type {type(spec).__name__}; use a spec such as vl.people() or {{\"adapter\": ...}}"
                )
            named[name] = Spec({"adapter": name, **spec})
        return named
    if not isinstance(detect, Iterable):
        raise ConfigError(f"detect is of type {type(detect).__name__}; use a name, a spec, a list of them, or a dict name -> spec")
    collected: dict[str, Spec] = {}
    for one in detect:
        if not isinstance(one, (str, Mapping)) or (isinstance(one, Mapping) and not isinstance(one.get("adapter"), str)):
            raise ConfigError(f"detect holds {one!r}; use names and specs such as vl.people(), or a dict name -> spec")
        for name, spec in named_specs(one).items():
            if name in collected:
                raise ConfigError(f"two analyses are named '{name}'; use a dict name -> spec to tell them apart")
            collected[name] = spec
    return collected


def chosen_specs(detect: Detect | None, config: Any, overrides: Mapping[str, Any]) -> dict[str, Spec]:
    """What ``analyze(detect, config=..., every=...)`` means. Arguments win over a file; a spec's own fields over arguments."""
    given = {key: value for key, value in overrides.items() if value is not None}
    if config is None and detect is None:
        config = os.environ.get("VIDLOOM_CONFIG") or None
    if config is None:
        if detect is None:
            raise ConfigError("neither detect nor config is given; use detect='people', or config='analyses.json'")
        specs = {name: Spec({**given, **spec}) for name, spec in named_specs(detect).items()}
        if not specs:
            raise ConfigError("detect names nothing to look for; use a name such as 'people', or a spec")
        return specs
    from_file = named_specs(config if isinstance(config, Mapping) else _vidloom.read_analyses(os.fsencode(config)))
    chosen = {name: Spec({**spec, **given}) for name, spec in from_file.items()}
    if detect is None:
        return chosen
    names = [detect] if isinstance(detect, str) else [str(name) for name in detect]
    for name in names:
        if name not in chosen:
            near = _vidloom.nearest(name, list(chosen))
            hint = f"; did you mean '{near}'?" if near else f"; it has {', '.join(chosen)}"
            raise ConfigError(f"detect is '{name}', which the config does not name{hint}")
    return {name: chosen[name] for name in names}
