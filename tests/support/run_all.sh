#!/usr/bin/env bash
# `make test`: everything, in an order that fails early; ends with the summary of the last runner. Exit code 0 only when all passed.
set -uo pipefail
cd "$(dirname "$0")/../.."
started=$SECONDS
failed=()
export VIDLOOM_CLIPS=${VIDLOOM_CLIPS:-$PWD/build/clips}
[[ -d $VIDLOOM_CLIPS ]] || unset VIDLOOM_CLIPS

step() {  # NAME COMMAND...
  local name=$1 begun=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@" || { failed+=("$name"); printf '== FAILED: %s\n' "$name"; }
  printf '== %s: %d s\n' "$name" $((SECONDS - begun))
}
# A sanitizer's programs are built and run together: half a build is no result.
sanitized() {  # PRESET TEST-REGEX TARGETS...
  local preset=$1 tests=$2
  shift 2
  cmake --preset "$preset" --log-level=WARNING >/dev/null && cmake --build "build/$preset" --target "$@" &&
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -R "$tests"
}
# torch is not built with sanitizers; what of it is ours alone, the plan of a device's work, is tested with the frames.
all_programs() { for folder in tests/cpp/*/; do [[ $folder == */torch/ ]] && continue; compgen -G "$folder*.cpp" >/dev/null && echo "test_$(basename "$folder")"; done; }

# torch, the packages that carry an FFmpeg or an OpenCV of their own, and references.
test_packages() {
  local stamp=.venv/.requirements-tests wanted=(tests/support/requirements-tests.txt tests/support/requirements-alone.txt)
  cat "${wanted[@]}" | cmp -s "$stamp" && return
  .venv/bin/python -m pip install -qq --disable-pip-version-check --requirement "${wanted[0]}" || return
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --requirement "${wanted[1]}" || return
  rm -f .venv/.vidloom-built  # the package gains the component torch
  cat "${wanted[@]}" >"$stamp"
}

# As another user, what is missing is named, and its tests are skipped: in CI that fails them.
browser() { tests/support/browser/setup.sh || [[ -z ${CI:-} && $EUID -ne 0 ]]; }

step "packages of the tests" test_packages
step "browser of the tests" browser
step "build" env VIDLOOM_BUILD_TESTS=ON src/cmake/tools/build.sh
if ((${#failed[@]})); then exit 1; fi
# shellcheck disable=SC2046
step "AddressSanitizer and UndefinedBehaviorSanitizer" sanitized asan '^cpp\.' vidloom_hostile $(all_programs)
step "damaged media" tests/support/run_sanitized.sh build/asan/bin/vidloom_hostile --count 0 --seconds 40
step "ThreadSanitizer" sanitized tsan '^cpp\.(execution|analyzer)$' test_execution test_analyzer
step "ctest" ctest --test-dir build --output-on-failure --no-tests=error
step "ruff" .venv/bin/ruff check python examples tests src benchmarks
step "documentation" .venv/bin/python tests/support/check_docs.py
export VIDLOOM_COMMAND=$PWD/build/bin/vidloom
printf '\n== pytest (the parts before took %d s)\n' $((SECONDS - started))
.venv/bin/python -m pytest -q -ra tests/python || failed+=("pytest")  # last, so that its summary ends the output

if ((${#failed[@]})); then
  printf '\nmake test: %d of its parts FAILED after %d s:' ${#failed[@]} $((SECONDS - started))
  printf ' [%s]' "${failed[@]}"
  echo
  exit 1
fi
