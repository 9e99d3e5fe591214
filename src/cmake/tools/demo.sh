#!/usr/bin/env bash
# People, motion and picture properties of a real street, twice a second, with the command that a user types.
set -euo pipefail
cd "$(dirname "$0")/../../.."
vidloom=build/bin/vidloom
source=build/clips/vtest.avi
[[ -f $source ]] || source=test:frames=500
out=out/demo
mkdir -p "$out"
results=$out/results.jsonl

printf '\n$ vidloom analyze %s --detect people,motion,visual --every 0.5 --jsonl %s\n' "$source" "$results"
"$vidloom" analyze "$source" --detect people,motion,visual --every 0.5 --jsonl "$results" --overwrite --progress
.venv/bin/python src/cmake/tools/table.py "$results"
printf '\nWritten:\n  %s   one JSON record a frame\n' "$results"
printf 'Next:\n  .venv/bin/vidloom analyze YOUR.mp4 --detect people\n  docs/getting_started.md\n'
