"""Modules of the user's own that register adapters, sources or sinks when they are imported."""

from __future__ import annotations

import importlib
import os
import sys


def load(module: str) -> None:
    """Imports ``module`` from the current folder or PYTHONPATH."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    importlib.import_module(module)


def from_environment() -> list[str]:
    """The modules that VIDLOOM_PLUGINS names, with commas between."""
    return [name.strip() for name in os.environ.get("VIDLOOM_PLUGINS", "").split(",") if name.strip()]
