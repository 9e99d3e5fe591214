"""The same work again and again in one process: memory, threads and open files must not grow.

    soak.py [--seconds 600] [--source test:frames=100] [--model CLIP]
"""

import argparse
import os
import re
import sys
import time

import vidloom as vl


def resident_kib() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def state() -> tuple[int, int, int]:
    """Resident KiB, threads, open files."""
    return resident_kib(), len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--source", default="build/clips/vtest.avi" if os.path.exists("build/clips/vtest.avi") else "test:frames=100")
    parser.add_argument("--model", help="a CLIP model, as the adapter clip takes it: labels and embeddings twice a second, too")
    arguments = parser.parse_args()
    analyses = {"visual": {"every": 0.5}, "motion": {"every": 0.2}, "people": {"every": 5}, "faces": {"every": 5, "scale": 1.2}}
    if arguments.model:
        analyses["clip"] = vl.clip(arguments.model, labels=["a street", "a person", "a car"], embedding=True, every=0.5)
    analyzer = vl.Analyzer(analyses)
    begun = time.monotonic()
    rounds = frames = 0
    settled = None
    while time.monotonic() - begun < arguments.seconds:
        with analyzer.analyze(arguments.source, end=20) as run:
            for frame in run:
                frames += 1
                if not all(outcome.answered for outcome in frame.values()):
                    print(f"round {rounds}, {frame.media_time} s: an answer is missing")
                    return 1
        rounds += 1
        if rounds == 5:
            settled = state()
        if rounds % 5 == 0:
            memory, threads, files = state()
            elapsed = time.monotonic() - begun
            print(f"{elapsed:6.0f} s  {rounds:5} rounds  {frames:8} frames", end="")
            print(f"   {memory:7} KiB  {threads:3} threads  {files:3} files", flush=True)
    if settled is None:
        print(f"only {rounds} rounds: give it more --seconds")
        return 1
    memory, threads, files = (now - then for now, then in zip(state(), settled, strict=True))
    print(f"since the fifth round: {memory:+d} KiB, {threads:+d} threads, {files:+d} files over {frames} frames")
    return 1 if memory > max(8192, frames) or threads > 0 or files > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
