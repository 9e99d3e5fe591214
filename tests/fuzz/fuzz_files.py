"""Damaged files through the whole reader: whatever comes, the command ends in time, with an exit code of its table, never by a signal.

    fuzz_files.py [--seconds 600] [--count N] [--seed N] [--command build/bin/vidloom]

Seeds are made with ffmpeg in every container; each round damages one: bytes changed, a piece cut out or doubled, the end cut off.
Each second one is sought in, which reads its index. Memory and time of each are limited. A file that breaks the rule is kept in
build/fuzz and named.
"""

import argparse
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALLOWED = {0, 1, 3}
FORMATS = {
    "avi": ["-c:v", "mpeg4"],
    "mp4": ["-c:v", "libx264", "-preset", "ultrafast"],
    "ts": ["-c:v", "libx264", "-preset", "ultrafast", "-f", "mpegts"],
    "mkv": ["-c:v", "mjpeg"],
    "mov": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"],
    "webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"],
    "flv": ["-c:v", "flv1"],
    "mpg": ["-c:v", "mpeg2video", "-bf", "2"],
    "gif": [],
    "png": ["-frames:v", "1"],
    "jpg": ["-frames:v", "1"],
}


def seeds(folder: pathlib.Path) -> list[pathlib.Path]:
    made = []
    for suffix, options in FORMATS.items():
        file = folder / f"seed.{suffix}"
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=2", *options, str(file)]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            made.append(file)
    return made


def limited() -> None:
    """Of one command: 4 GiB of address space that is backed (threads' stacks and libraries included), 60 s of CPU."""
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))


def damaged(data: bytes, dice: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(max(1, len(out)))
        length = min(len(out) - at, dice.choice((1, 4, 64, 1024)))
        kind = dice.choice(("change", "cut", "double", "end"))
        if kind == "change":
            out[at : at + length] = dice.randbytes(length)
        elif kind == "cut":
            del out[at : at + length]
        elif kind == "double":
            out[at:at] = out[at : at + length]
        else:
            del out[at:]
    return bytes(out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--count", type=int, default=sys.maxsize, help="damaged files at most")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--sanitized", action="store_true", help="the command is a sanitizer's build: no limit of memory")
    parser.add_argument("--command", default=str(ROOT / "build/bin/vidloom"))
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(2**32)
    dice = random.Random(seed)
    print(f"seed {seed}")
    kept = ROOT / "build/fuzz"
    ends: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        originals = seeds(folder)
        if len(originals) < 3:
            print("ffmpeg could not make the seeds")
            return 1
        begun = time.monotonic()
        while time.monotonic() - begun < arguments.seconds and sum(ends.values()) < arguments.count:
            original = dice.choice(originals)
            victim = folder / f"damaged{original.suffix}"
            victim.write_bytes(damaged(original.read_bytes(), dice))
            try:
                command = [arguments.command, "analyze", str(victim), "--detect", "visual,motion", "--sink", "null", "-q"]
                if sum(ends.values()) % 2 == 1 and victim.suffix not in (".png", ".jpg"):
                    command += ["--start", f"{dice.uniform(0, 3):.3f}"]
                # A sanitizer maps far more than it uses.
                limits = None if arguments.sanitized else limited
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, preexec_fn=limits)
                code, words = done.returncode, done.stderr
            except subprocess.TimeoutExpired:
                code, words = -1, "no end within 120 s"
            ends[code] = ends.get(code, 0) + 1
            too_late = code == 2 and "no picture at or after it" in words  # damage left nothing behind --start
            if (code not in ALLOWED and not too_late) or "Sanitizer" in words:
                kept.mkdir(parents=True, exist_ok=True)
                keep = kept / f"{seed}-{sum(ends.values())}{original.suffix}"
                shutil.copy(victim, keep)
                print(f"exit {code}: {os.path.relpath(keep, ROOT)}\n{words}")
                return 1
    print(f"{sum(ends.values())} damaged files, exits {dict(sorted(ends.items()))}")
    return 0 if ends.get(0, 0) + ends.get(3, 0) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
