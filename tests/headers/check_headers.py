"""Every public header compiles alone, without a warning, and names no third-party library. Standard library only.

    check_headers.py --include DIR [--compiler g++] [--compiler clang++]
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

FLAGS = "-std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror -fsyntax-only -x c++".split()
FOREIGN = re.compile(
    r"#\s*include\s*[<\"](libav|libsw|torch/|ATen/|c10/|opencv|Eigen/|fmt/|nlohmann/|pybind11/|curl/|openssl/)"
    r"|\b(AVFrame|AVPacket|AVFormatContext|AVCodecContext|at::|c10::|torch::|cv::|Eigen::|fmt::|nlohmann::|pybind11::)"
)


def code_of(text: str) -> str:
    """`text` without comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def complaint(include: pathlib.Path, header: pathlib.Path, compiler: str) -> str:
    """What `compiler` has against `header` on its own, twice included; "" when nothing."""
    name = header.relative_to(include)
    source = f"#include <{name}>\n#include <{name}>\nint main() {{ return 0; }}\n"
    run = subprocess.run([compiler, *FLAGS, "-I", str(include), "-"], input=source, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else f"{compiler} {name}:\n{run.stderr}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--include", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", action="append", default=[])
    arguments = parser.parse_args()
    compilers = [c for c in arguments.compiler or ["g++", "clang++"] if shutil.which(c)]
    headers = sorted(arguments.include.glob("vidloom/**/*.hpp"))
    # The contract suites are for doctest users and say so.
    headers = [h for h in headers if "contracts" not in h.relative_to(arguments.include).parts]
    if len(headers) < 10 or not compilers:
        print(f"nothing to check: {len(headers)} headers in {arguments.include}, compilers {compilers}")
        return 1

    troubles = []
    for header in headers:
        inside = header.relative_to(arguments.include)
        found = FOREIGN.search(code_of(header.read_text(encoding="utf-8")))
        if found and inside.parts[1] != "interop":
            troubles.append(f"{inside} names a third-party library: {found.group(0)}")
    # Those of interop/ need the library that they are about: the tests of its component compile them.
    headers = [h for h in headers if h.relative_to(arguments.include).parts[1] != "interop"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [pool.submit(complaint, arguments.include, h, c) for h in headers for c in compilers]
        troubles += [job.result() for job in jobs if job.result()]
    print("\n".join(troubles) or f"{len(headers)} headers compile alone with {', '.join(compilers)} and name no third-party library")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
