#!/usr/bin/env bash
# Five steps, each with the command that a user types. Ends with 0 when all went as it should, its deliberate failures included.
set -euo pipefail
cd "$(dirname "$0")/../../.."
vidloom=.venv/bin/vidloom  # the pip package's command: --plugin is Python
python=.venv/bin/python
tools=src/cmake/tools
clips=build/clips
out=out/demo
mkdir -p "$out"

title() { printf '\n\n== %s\n' "$*"; }
run() {  # prints a command, then runs it
  printf '\n$ vidloom'
  printf ' %s' "$@"
  printf '\n'
  "$vidloom" "$@"
}
street=$clips/vtest.avi
if [[ ! -f $street ]]; then
  street=test:frames=795,rate=10,size=768x576
  printf 'The films of opencv-doc are not there: the steps use a test pattern, in which nobody walks.\n'
fi

title "1  People in a street, twice a second"
run analyze "$street" --detect people --every 0.5 --jsonl "$out/people.jsonl" --sink "sheet:$out/people.png" -y --progress
"$python" $tools/table.py "$out/people.jsonl"
printf '\nTheir best moments, for a terminal without a browser: %s\n' "$out/people.png"

title "2  One picture of a thing finds it"
if [[ -f $clips/box.mp4 && -f $clips/cup.mp4 ]]; then
  "$python" $tools/reference.py $clips/box.mp4 "$out/brands"
  for thing in box cup; do
    status=0
    run analyze $clips/$thing.mp4 --detect logos --references "$out/brands" --every 0.2 --annotate "$out/$thing.mp4" --jsonl "$out/$thing.jsonl" -y -q || status=$?
    if ((status == 4)); then
      printf 'This build has no adapter logos: the rest of this step is left out.\n'
      break
    fi
    ((status == 0)) || exit "$status"
    "$python" $tools/found.py "$out/$thing.jsonl"
  done
  if ((status == 0)); then printf '\nThe box outlined as it turns: %s\n' "$out/box.mp4"; fi
else
  printf '\nbox.mp4 and cup.mp4 of opencv-doc are not there: this step is left out.\n'
fi

title "3  A page: video, a timeline per class; click a peak and the player stands on that very picture"
run analyze "$street" --detect people,motion --every 1 --annotate "$out/street.mp4" --report "$out/report.html" --sink "video:$out/street.ts" -y --progress
printf '\nOpen it: %s\n' "file://$PWD/$out/report.html"

title "4  It does not lie: a damaged copy, and an adapter whose service is too busy for some pictures"
"$python" $tools/damage.py "$out/street.ts" "$out/damaged.ts"
status=0
PYTHONPATH=$tools run analyze "$out/damaged.ts" --plugin overloaded --detect overloaded,motion --every 0.5 \
  --annotate "$out/damaged.mp4" --report "$out/damaged.html" -y --progress || status=$?
printf '\nexit code %d: some answers failed. The damaged pictures and the failures stand in %s\n' "$status" "$out/damaged.html"
((status == 1)) || { printf 'It should have been 1.\n' >&2; exit 1; }

title "5  How long until the first answer"
"$python" $tools/first_answers.py "$street" "$out"

printf '\n\nWritten to %s: people.png report.html damaged.html, and their films and records\n' "$out"
printf 'Next:\n  .venv/bin/vidloom analyze YOUR.mp4 --detect people --report out.html\n  docs/getting_started.md\n'
