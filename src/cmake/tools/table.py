"""What was seen, as a table: one row a class of each analysis in a results file. Standard library only."""

import collections
import json
import sys


def main(path: str) -> int:
    """Prints the table of `path` (JSON lines); returns 1 when an answer is missing, else 0."""
    answers: dict[str, collections.Counter] = {}
    boxes: dict[tuple[str, str], list] = {}
    numbers: dict[tuple[str, str], list] = {}
    frames = 0
    with open(path, encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["type"] != "frame":
                continue
            frames += 1
            for name, analysis in record["analyses"].items():
                answers.setdefault(name, collections.Counter())[analysis["status"]] += 1
                for found in analysis.get("detections", []) + analysis.get("labels", []):
                    boxes.setdefault((name, found["class_name"]), []).append((record["media_time"], found["confidence"]))
                for key, value in analysis.get("attributes", {}).items():
                    if isinstance(value, (int, float)):
                        numbers.setdefault((name, key), []).append(value)

    print(f"\n{frames} frames analysed\n")
    print(f"{'analysis':10} {'class':20} {'boxes':>7} {'frames':>7} {'mean confidence':>16}  {'first':>8}  {'last':>8}")
    for (name, label), rows in sorted(boxes.items()):
        known = [confidence for _, confidence in rows if confidence is not None]
        mean = f"{sum(known) / len(known):.2f}" if known else "-"
        times = [time for time, _ in rows]
        print(f"{name:10} {label:20} {len(rows):7} {len(set(times)):7} {mean:>16}  {times[0]:6.1f} s  {times[-1]:6.1f} s")
    if numbers:
        print(f"\n{'analysis':10} {'property':20} {'least':>7} {'mean':>7} {'most':>7}")
    for (name, key), values in sorted(numbers.items()):
        print(f"{name:10} {key:20} {min(values):7.3f} {sum(values) / len(values):7.3f} {max(values):7.3f}")

    print()
    missing = 0
    for name, counts in answers.items():
        lost = counts["failed"] + counts["dropped"]
        missing += lost
        print(f"{name}: failed {lost} of {sum(counts.values())}")
    return 1 if missing or not frames else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
