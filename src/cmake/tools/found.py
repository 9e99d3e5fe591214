"""What a results file says of the things looked for, in a line or two. Standard library only."""

import collections
import json
import sys


def main(path: str) -> int:
    """Prints when and how often each class of `path` (JSON lines) was found; returns 1 when nothing was looked at."""
    looked = 0
    seen = collections.defaultdict(list)
    with open(path, encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["type"] != "frame":
                continue
            looked += 1
            for analysis in record["analyses"].values():
                for name in {found["class_name"] for found in analysis.get("detections", [])}:
                    seen[name].append(record["media_time"])
    for name, times in sorted(seen.items()):
        print(f"looked at {looked} frames, found {name} in {len(times)}: from {times[0]:.1f} s to {times[-1]:.1f} s")
    if not seen:
        print(f"looked at {looked} frames, found nothing")
    return 0 if looked else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
