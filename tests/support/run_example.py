"""Runs an example's C++ program and its Python twin: both must end well and print the same. Standard library only.

    run_example.py FOLDER PROGRAM [PYTHON]     PYTHON: one that has the package; without it only the program is run
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode != 0 or not done.stdout.strip():
        sys.exit(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\nexit {done.returncode}")
    return done.stdout


def film(work: str) -> str:
    """Six seconds of the street where it is at hand, else the test pattern."""
    for folder in filter(None, (os.environ.get("VIDLOOM_CLIPS"), "/usr/share/doc/opencv-doc/examples/data", str(ROOT / "build/clips"))):
        clip = os.path.join(folder, "vtest.avi")
        if os.path.isfile(clip) and shutil.which("ffmpeg"):
            cut = os.path.join(work, "street.avi")
            subprocess.run(["ffmpeg", "-v", "error", "-i", clip, "-t", "6", "-c", "copy", cut], check=True)
            return cut
    return "test:frames=150"


def main() -> None:
    folder, program, *python = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        source = film(work)
        compiled = output(program, source)
        print(compiled, end="")
        if len(compiled.splitlines()) < 5:
            sys.exit("fewer than five lines: nothing was analysed")
        if python:
            interpreted = output(python[0], os.path.join(folder, "main.py"), source)
            if interpreted != compiled:
                sys.exit(f"main.py prints something else:\n{interpreted}")
            print("main.py prints the same")


if __name__ == "__main__":
    main()
