"""The rules of the tree, checked on its text: who may include whom, which library where, how long a header. Standard library only.

    check_architecture.py [ROOT]
"""

import pathlib
import re
import subprocess
import sys

# Lower ranks never include higher ones; siblings (equal rank, other name) never include each other.
RANK = {
    "core": 0,
    "schemas": 1,
    "imaging": 1,
    "root": 2,
    "sources": 3,
    "adapters": 3,
    "execution": 3,
    "sinks": 3,
    "analyzer": 3,
    "render": 3,
    "interop": 3,
    "support": 2,
    "static": 4,
    "cli": 5,
}
ANALYZER = {"analyzer", "run", "analyses"}  # root files of the rank of their siblings
# Which foreign headers may stand where. The folder is the component, so one expression says it all.
LIBRARIES = {
    "FFmpeg": (r"lib(av|sw)\w+/", r"/ffmpeg/"),
    "OpenCV": (r"opencv2?/", r"/opencv/"),
    "Pango": (r"(pango|cairo|glib)", r"/pango/"),
    "torch": (r"(torch|ATen|c10)/", r"/torch/|^include/vidloom/interop/torch\.hpp$"),
    "utf8proc": (r"utf8proc\.h", r"/clip/"),
    "nlohmann-json": (r"nlohmann/", r"^src/core/value\.cpp$"),
    "pybind11": (r"pybind11/", r"^bindings/"),
    "doctest": (r"doctest/", r"^tests/"),
}
OPENCV_MODULES = {"core", "imgproc", "video", "objdetect", "calib3d", "features2d"}
TOP = set(
    "CMakeLists.txt pyproject.toml include src python bindings examples benchmarks tests docs README.md LICENSE NOTICE Makefile "
    "CMakePresets.json CONTRIBUTING.md CHANGELOG.md AGENTS.md .clang-format .clang-tidy .gitignore .gitattributes .ci".split()
)
HEADER_LINES = 220
ENDS_PROCESS = {"execution/local_runtime.hpp"}  # the one private header bindings may see: Python's atexit needs it
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.<>{}$*])/(work|root|farm|opt/wheels|home/\w+)(/|\b)")
INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", re.M)


def area_of(path: pathlib.PurePosixPath) -> str | None:
    """The area a file of include/vidloom or src belongs to; None for what has no rank (the umbrella header)."""
    parts = path.parts
    parts = parts[2:] if parts[:2] == ("include", "vidloom") else parts[1:]
    if len(parts) == 1:
        stem = parts[0].split(".")[0]
        return None if stem == "vidloom" else "analyzer" if stem in ANALYZER else "root"
    return parts[0]


def direction(path: pathlib.PurePosixPath, text: str) -> list[str]:
    """Includes of `path` that go up or sideways."""
    mine = area_of(path)
    if mine is None:
        return []
    if mine not in RANK:
        return [f"{path}: area '{mine}' has no place in tests/architecture; known: {', '.join(RANK)}"]
    found = []
    for _, name in INCLUDE.findall(text):
        if name.startswith("vidloom/"):
            target = pathlib.PurePosixPath("include", name)
        elif name.split("/")[0] in RANK or ("/" not in name and name.endswith(".hpp")):
            target = pathlib.PurePosixPath("src", name) if "/" in name else pathlib.PurePosixPath(path.parent, name)
        else:
            continue
        other = area_of(target)
        if other is None:
            if path.parts[0] == "include" or mine not in ("cli", "static"):
                found.append(f"{path} includes the umbrella header {name}")
        elif other not in RANK or RANK[other] > RANK[mine] or (RANK[other] == RANK[mine] and other != mine and RANK[mine] >= 3):
            if not allowed(path, mine, other):
                found.append(f"{path} ({mine}) includes {name} ({other})")
    return found


def allowed(path: pathlib.PurePosixPath, mine: str, other: str) -> bool:
    """The exceptions, each with its reason."""
    # src/core also holds what ties the vocabulary together (names, components): it sees the interfaces, never their makers.
    if path.parts[:2] == ("src", "core") and other in ("root", "imaging", "schemas"):
        return True
    # The catalogue of names calls one factory function of each built-in thing.
    makers = ("sources", "adapters", "sinks", "execution")
    if path.parts[0] == "src" and re.search(r"(registry|catalogue|builtin)", path.name) and other in makers:
        return True
    # The kernels behind Frame's conversions take frames: only public imaging headers stand below the vocabulary.
    if path.parts[:2] == ("src", "imaging") and other == "root":
        return True
    # Private owners of a library's handles serve every file of that component.
    if other == "support" and len(path.parts) > 3 and path.parts[2] in ("ffmpeg", "opencv", "pango", "clip", "torch"):
        return True
    # A component's one entry point registers what its siblings make; shared RAII sees the vocabulary.
    if mine == "support" and path.stem == "component":
        return True
    # Adapters not told otherwise run locally: the default of AnalysisSpec::where.
    if mine == "analyzer" and other == "execution" and path.parts[0] == "src":
        return True
    # An image holds its spec; frames are made of images.
    return {mine, other} <= {"schemas", "imaging"}


def libraries(path: pathlib.PurePosixPath, text: str) -> list[str]:
    """Foreign headers outside their folder."""
    found = []
    for _, name in INCLUDE.findall(text):
        for library, (pattern, where) in LIBRARIES.items():
            if re.match(pattern, name) and not re.search(where, str(path)):
                if not (library == "doctest" and "contracts" in path.parts):
                    found.append(f"{path} includes {name}: {library} belongs to {where}")
        module = re.match(r"opencv2/(\w+)", name)
        if module and module.group(1) not in OPENCV_MODULES:
            found.append(f"{path} includes {name}: only {', '.join(sorted(OPENCV_MODULES))} of OpenCV are used")
    return found


def tracked(root: pathlib.Path) -> list[pathlib.PurePosixPath]:
    """Files of the tree: git's where this is a checkout, else all but build outputs."""
    run = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=False)
    if run.returncode == 0:
        names = run.stdout.splitlines()
    else:
        skip = {"build", ".venv", "out", "dist", "__pycache__", ".git"}
        names = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and not skip & set(p.relative_to(root).parts)]
    return sorted(pathlib.PurePosixPath(n) for n in names if (root / n).is_file())


def main() -> int:
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    troubles = []
    files = tracked(root)
    for top in sorted({p.parts[0] for p in files} - TOP):
        troubles.append(f"{top}: the top level is fixed, see AGENTS.md")
    checked = 0
    for path in files:
        if path.name == "LICENSE" or path.suffix in {".png", ".jpg", ".mp4", ".avi", ".ts", ".bin"}:
            continue
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        if path.name != pathlib.Path(__file__).name:
            troubles += [f"{path}: unfinished: {m.group(0)}" for m in UNFINISHED.finditer(text)]
            troubles += [f"{path}: a path of one machine: {m.group(0)}" for m in MACHINE_PATH.finditer(text)]
        if path.suffix not in {".hpp", ".cpp", ".h"}:
            continue
        checked += 1
        troubles += libraries(path, text)
        if path.parts[0] in ("include", "src"):
            troubles += direction(path, text)
        if path.parts[0] == "include":
            lines = text.count("\n")
            if lines > HEADER_LINES:
                troubles.append(f"{path}: {lines} lines; a public header has at most {HEADER_LINES}")
        if path.parts[0] == "bindings":
            troubles += [f"{path} includes {n}: bindings see include/ and the command line only" for _, n in INCLUDE.findall(text)
                         if n.split("/")[0] in RANK and n.split("/")[0] not in ("cli", "core") and n not in ENDS_PROCESS]
    for path in files:
        if path.parts[0] == "python" and path.suffix == ".py" and "integrations" not in path.parts:
            if re.search(r"^\s*(from|import)\s+\S*integrations", (root / path).read_text(encoding="utf-8"), re.M):
                troubles.append(f"{path} imports integrations: nothing may")
    if checked < 30:
        troubles.append(f"only {checked} C++ files found in {root}: wrong folder?")
    print("\n".join(troubles) or f"{checked} C++ files keep the directions")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
