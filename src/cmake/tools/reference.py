"""The reference picture of the demo: the lid of the printed box, cut from one clear picture of box.mp4.

    reference.py box.mp4 FOLDER     writes FOLDER/box.png
"""

import pathlib
import sys

import vidloom as vl

PICTURE = 120  # the lid is turned to the camera and held still
LID = (176, 32, 532, 192)  # in that picture, display pixels


def main(film: str, folder: str) -> None:
    frame = next((frame for number, frame in enumerate(vl.open_source(film)) if number == PICTURE), None)
    if frame is None:
        raise SystemExit(f"{film} has no picture {PICTURE}")
    target = pathlib.Path(folder) / "box.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    frame.save_crop(LID, target)
    print(f"{target}: cut from picture {PICTURE} of {film}, at {frame.media_time:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
