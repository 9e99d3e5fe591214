#!/usr/bin/env bash
# Libraries and command into build/, the Python package into .venv. ccache lets the second build reuse the first one's objects.
set -euo pipefail
cd "$(dirname "$0")/../../.."

# One name for both builds, or ccache takes them for different compilers (scikit-build-core would say g++).
export CC=${CC:-cc} CXX=${CXX:-c++}
# That Python also says whether there is a torch to build the component torch for.
python=-DVIDLOOM_TEST_PYTHON=$PWD/.venv/bin/python
[[ -f build/CMakeCache.txt ]] || cmake --preset release --log-level=WARNING -DVIDLOOM_BUILD_TESTS="${VIDLOOM_BUILD_TESTS:-OFF}" "$python"
if [[ -n ${VIDLOOM_BUILD_TESTS:-} ]]; then cmake -B build --log-level=WARNING -DVIDLOOM_BUILD_TESTS="$VIDLOOM_BUILD_TESTS" "$python" >/dev/null; fi
cmake --build build

stamp=.venv/.vidloom-built
newer=$(find CMakeLists.txt pyproject.toml include src bindings python tests/contracts -type f -newer "$stamp" -print -quit 2>/dev/null || true)
if [[ ! -f $stamp || -n $newer ]] || ! .venv/bin/python -c 'import vidloom' 2>/dev/null; then
  touch "$stamp.new"
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall .
  mv "$stamp.new" "$stamp"
fi
