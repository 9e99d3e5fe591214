#!/usr/bin/env bash
# `make fuzz`: 20,000 damaged files and texts and as many more as fit into SECONDS, then a tenth of that time for the command and for
# libFuzzer each. Findings lie in build/fuzz, with what a sanitizer said of them.
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}
export CC=${CC:-cc} CXX=${CXX:-c++}
failed=0

cmake --preset asan --log-level=WARNING >/dev/null && cmake --build build/asan --target vidloom_hostile vidloom_opencv || exit 1
tests/support/run_sanitized.sh build/asan/bin/vidloom_hostile --count 20000 --seconds "$seconds" || failed=1

.venv/bin/python tests/fuzz/fuzz_files.py --seconds $((seconds / 10)) || failed=1

clang=$(command -v clang++-14 || command -v clang++ || true)
if [[ -n $clang ]] && echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
  "$clang" -x c++ -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null; then
  CXX=$clang CC=${clang/++/} cmake --preset fuzzer --log-level=WARNING >/dev/null && cmake --build build/fuzzer --target vidloom_fuzzer || exit 1
  mkdir -p build/fuzz/corpus build/fuzz/samples
  build/asan/bin/vidloom_hostile --samples build/fuzz/samples
  tests/support/run_sanitized.sh build/fuzzer/bin/vidloom_fuzzer build/fuzz/corpus build/fuzz/samples -max_total_time=$((seconds / 10)) -max_len=4096 -timeout=20 \
    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix=build/fuzz/ 2>build/fuzz/fuzzer.log || failed=1
  grep -E '^stat::number_of_executed_units|ERROR|SUMMARY|DONE' build/fuzz/fuzzer.log
else
  echo "no clang++ with libFuzzer here: our own readers were only damaged blindly (apt-get install clang-14 libclang-rt-14-dev)"
fi
exit $failed
