#!/usr/bin/env bash
# Runs one test program with the options the sanitizers need; without sanitizers they mean nothing.
here=$(cd "$(dirname "$0")" && pwd)
export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$here/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="suppressions=$here/tsan.supp:ignore_noninstrumented_modules=1:second_deadlock_stack=1:${TSAN_OPTIONS:-}"
# ThreadSanitizer of g++ 12 wants the old address layout; where the container forbids the call, it runs as it is.
if [[ $1 == *tsan* ]] && setarch "$(uname -m)" -R true 2>/dev/null; then exec setarch "$(uname -m)" -R "$@"; fi
exec "$@"
