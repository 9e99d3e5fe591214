"""The reference picture of the demo: the printed box of box.mp4, cut from the one of its first pictures in which it is sharpest.

    reference.py box.mp4 FOLDER     writes FOLDER/box.png
"""

import pathlib
import sys

import numpy as np

import vidloom as vl

BOX = (200, 120, 440, 380)  # where it stands while it is still, display pixels


def sharpness(luma: np.ndarray) -> float:
    """Mean squared difference of neighbours inside the box."""
    x1, y1, x2, y2 = BOX
    part = luma[y1:y2, x1:x2].astype(np.float32)
    return float((np.diff(part, axis=1) ** 2).mean())


def main(film: str, folder: str) -> None:
    best, frame = -1.0, None
    for number, candidate in enumerate(vl.open_source(film)):
        if number >= 25:
            break
        if (score := sharpness(candidate.luma())) > best:
            best, frame = score, candidate
    if frame is None:
        raise SystemExit(f"{film} has no picture")
    target = pathlib.Path(folder) / "box.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    frame.save_crop(BOX, target)
    print(f"{target}: cut from {film} at {frame.media_time:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
