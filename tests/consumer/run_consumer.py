"""Builds the programs of tests/consumer/programs as a stranger would, and runs them. Standard library only.

    run_consumer.py MODE --build BUILD [--python PYTHON] [--torch FOLDER]

MODE: shared, as_needed (installed shared libraries), static (an installed static build), build_tree, subdirectory
(add_subdirectory), pip (the CMake folder of the Python package), torch (a program with at::Tensor), components (what find_package
says of wrong ones).
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCHER = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []


def run(*command: object, expect: int = 0, **more: object) -> str:
    """Output of `command`; ends the test, showing it, unless it exits with `expect`."""
    shown = " ".join(map(str, command))
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode != expect:
        sys.exit(f"$ {shown}\n{done.stdout}\nexit {done.returncode}, expected {expect}")
    return done.stdout


def film(work: pathlib.Path) -> str:
    """Four seconds of the street where it is at hand, else the test pattern."""
    folders = [os.environ.get("VIDLOOM_CLIPS", ""), "/usr/share/doc/opencv-doc/examples/data", ROOT / "build/clips"]
    for folder in filter(None, folders):
        clip = pathlib.Path(folder, "vtest.avi")
        if clip.is_file() and shutil.which("ffmpeg"):
            run("ffmpeg", "-v", "error", "-i", clip, "-t", "4", "-c", "copy", work / "street.avi")
            return str(work / "street.avi")
    return "test:frames=100"


def install(build: pathlib.Path, work: pathlib.Path) -> pathlib.Path:
    """An install tree that was moved after it was made: nothing in it may know where it once stood."""
    run("cmake", "--install", build, "--prefix", work / "made")
    (work / "made").rename(work / "moved")
    for file in (work / "moved/lib/cmake/vidloom").iterdir():
        text = file.read_text(encoding="utf-8")
        for path in (str(work / "made"), str(build), str(ROOT)):
            if path in text:
                sys.exit(f"{file.name} names {path}")
    return work / "moved"


def configure(work: pathlib.Path, *flags: object, expect: int = 0, env: dict | None = None) -> str:
    source = ROOT / "tests/consumer/programs"
    return run("cmake", "-G", "Ninja", "-S", source, "-B", work / "out", *LAUNCHER, *flags, expect=expect, env=env)


def build_and_run(work: pathlib.Path, programs: tuple[str, ...] = ("people", "own_adapter", "own_source")) -> None:
    run("cmake", "--build", work / "out", "--target", *programs)
    where = film(work)
    for program in programs:
        binary = next(p for p in (work / "out").rglob(program) if p.is_file() and os.access(p, os.X_OK))
        output = run(binary, where) if program.startswith("people") else run(binary)
        last = re.search(r"(\d+) of (\d+) frames answered\s*$", output)
        if not last or last[1] != last[2] or int(last[1]) < 8:
            sys.exit(f"{program}: not all answered:\n{output}")
        if program.startswith("people") and where.endswith(".avi") and not re.search(r"[1-9]\d* people", output):
            sys.exit(f"no people in a street full of them:\n{output}")
        print(f"{program}: {last[0].strip()}")


def without_development_packages() -> dict:
    """An environment in which pkg-config finds nothing: users of shared libraries need no FFmpeg or OpenCV headers."""
    return {**os.environ, "PKG_CONFIG_LIBDIR": "/nonexistent", "PKG_CONFIG_PATH": ""}


def wrong_components(work: pathlib.Path, prefix: pathlib.Path) -> None:
    for component, words in (("opencw", ("opencw", "unknown", "ffmpeg, opencv, pango, clip, torch")), ("net", ("net", "later version"))):
        folder = work / component
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(wrong LANGUAGES CXX)\n"
            f"find_package(vidloom REQUIRED COMPONENTS ffmpeg {component})\n", encoding="utf-8")
        output = run("cmake", "-S", folder, "-B", folder / "out", f"-DCMAKE_PREFIX_PATH={prefix}", expect=1)
        for word in words:
            if word not in " ".join(output.split()):
                sys.exit(f"'{word}' is not in:\n{output}")
    (prefix / "lib/libvidloom_opencv.so").unlink()
    output = configure(work, f"-DCMAKE_PREFIX_PATH={prefix}", expect=1)
    if "'opencv' is not installed" not in " ".join(output.split()):
        sys.exit(output)
    print("unknown, later and missing components are named")


def torch_program(work: pathlib.Path, prefix: pathlib.Path, torch: pathlib.Path) -> None:
    """A program with at::Tensor; what it is told where torch is missing or of another version; that others need no torch."""
    needs = (prefix / "lib/libvidloom_torch.needs").read_text(encoding="utf-8")
    source, flags = ROOT / "tests/consumer/programs/torch", [f"-DCMAKE_PREFIX_PATH={prefix};{torch}/share/cmake"]
    configure_torch = ("cmake", "-G", "Ninja", "-S", source, "-B", work / "out", *LAUNCHER)
    run(*configure_torch, *flags)
    run("cmake", "--build", work / "out")
    output = run(work / "out/tensor")
    if not re.search(r"^8 of 8 tensors equal$", output, re.M):
        sys.exit(output)
    shutil.rmtree(work / "out")
    other = needs.replace("torch 2.", "torch 1.", 1)
    for text, words in ((other, "was built for torch 1."), (needs, "there is none in CMAKE_PREFIX_PATH")):
        (prefix / "lib/libvidloom_torch.needs").write_text(text, encoding="utf-8")
        lost = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DVIDLOOM_SYSTEM_PYTHON=/nonexistent"]
        output = run(*configure_torch, *(lost if text == needs else flags), expect=1,
                     env={**os.environ, "VIRTUAL_ENV": "/nonexistent"})
        if words not in " ".join(output.split()):
            sys.exit(f"'{words}' is not in:\n{output}")
        shutil.rmtree(work / "out")
    print("tensor: 8 of 8 equal; a missing and another torch are named")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices="shared as_needed static build_tree subdirectory pip torch components".split())
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--torch", type=pathlib.Path, help="the folder of the torch that the build found")
    arguments = parser.parse_args()
    mode = arguments.mode
    with tempfile.TemporaryDirectory(prefix="vidloom-consumer-") as name:
        work = pathlib.Path(name)
        if mode in ("shared", "as_needed"):
            flags = ["-DCMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed -Wl,--no-undefined"] if mode == "as_needed" else []
            prefix = install(arguments.build, work)
            configure(work, f"-DCMAKE_PREFIX_PATH={prefix}", *flags, env=without_development_packages())
            build_and_run(work)
            if mode == "shared":
                clip = film(pathlib.Path(tempfile.mkdtemp(dir=work)))
                run(prefix / "bin/vidloom", "analyze", clip, "--detect", "people", "--max-frames", "3")
        elif mode == "static":
            tree = arguments.build / "static"
            run("cmake", "--preset", "static", "-B", tree, cwd=ROOT)
            run("cmake", "--build", tree)
            configure(work, f"-DCMAKE_PREFIX_PATH={install(tree, work)}")
            build_and_run(work, ("people_static", "own_adapter", "own_source"))
        elif mode == "build_tree":
            configure(work, f"-Dvidloom_DIR={arguments.build}")
            build_and_run(work)
        elif mode == "subdirectory":
            configure(work, f"-DVIDLOOM_SOURCE={ROOT}", "-DCMAKE_BUILD_TYPE=Release")
            build_and_run(work)
        elif mode == "pip":
            folder = run(arguments.python, "-m", "vidloom", "--cmake-dir").strip()
            configure(work, f"-Dvidloom_DIR={folder}", env=without_development_packages())
            build_and_run(work)
        elif mode == "torch":
            torch_program(work, install(arguments.build, work), arguments.torch)
        else:
            wrong_components(work, install(arguments.build, work))


if __name__ == "__main__":
    main()
