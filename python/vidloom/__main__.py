"""``vidloom ...`` and ``python -m vidloom ...``: the C++ command, inside Python."""

from __future__ import annotations

import os
import sys

from . import _plugins, _vidloom


def cmake_dir() -> str:
    """The folder that CMake's ``vidloom_DIR`` takes."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", "cmake", "vidloom")


def main() -> int:
    """Runs the command line of this process. Returns its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--cmake-dir"]:
        print(cmake_dir())
        return 0
    for name in _plugins.from_environment():
        try:
            _plugins.load(name)
        except Exception as error:
            print(f"vidloom: VIDLOOM_PLUGINS names '{name}': {type(error).__name__}: {error}", file=sys.stderr)
            return 2
    try:
        return _vidloom.run_command(arguments)
    except KeyboardInterrupt:  # its outputs are complete by now
        return 130


if __name__ == "__main__":
    sys.exit(main())
