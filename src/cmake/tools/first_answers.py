"""How long until the first answer of a new process, and from a 1080p segment to its answer where all is loaded already.

    first_answers.py STREET FOLDER
"""

import pathlib
import statistics
import subprocess
import sys
import time

import vidloom as vl

COMMAND = str(pathlib.Path(sys.executable).with_name("vidloom"))


def first_answer(street: str) -> float:
    """Seconds from starting the command until its first line of people."""
    begun = time.perf_counter()
    with subprocess.Popen([COMMAND, "analyze", street, "--detect", "people", "--max-frames", "1", "-q"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("the command gave no answer")
        return time.perf_counter() - begun


def segment_to_answer(segment: str) -> float:
    """Seconds of analyze_segment() for motion and picture properties once a second: median of five, adapters loaded before."""
    analyzer = vl.Analyzer({"motion": vl.motion(every=1), "visual": vl.visual(every=1)})
    analyzer.analyze_segment(segment).raise_for_status()
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        analyzer.analyze_segment(segment).raise_for_status()
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def main(street: str, folder: str) -> None:
    segment = str(pathlib.Path(folder) / "segment.ts")
    vl.analyze("test:size=1920x1080,rate=25,frames=150", "visual", every=6, sinks=[vl.video(segment, overwrite=True)]).run()
    print(f"\nfirst answer after {first_answer(street):.2f} s, 1080p segment of 6 s to answer {1000 * segment_to_answer(segment):.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
