"""The reference picture of the demo: the lid of the printed box, cut from one clear picture of box.mp4 and made upright.

    reference.py box.mp4 FOLDER     writes FOLDER/box.png
"""

import pathlib
import sys

import numpy as np

import vidloom as vl

PICTURE = 308  # the lid is turned to the camera and held still
# In that picture, display pixels, read off by eye: clockwise from the print's top left.
LID = [(257.0, 115.6), (484.6, 174.8), (409.7, 291.7), (135.2, 194.8)]
SIZE = (300, 206)


def upright(picture: np.ndarray, corners: list[tuple[float, float]], size: tuple[int, int]) -> np.ndarray:
    """What lies between four corners (top left, then clockwise), as a picture of (width, height): by a homography, bilinearly."""
    width, height = size
    rows, places = [], []
    for (x, y), (u, v) in zip([(0, 0), (width, 0), (width, height), (0, height)], corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        places += [u, v]
    homography = np.append(np.linalg.solve(np.array(rows, float), np.array(places, float)), 1).reshape(3, 3)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    u, v, w = homography @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    u, v = (u / w - 0.5).clip(0, picture.shape[1] - 1.001), (v / w - 0.5).clip(0, picture.shape[0] - 1.001)
    left, above = u.astype(int), v.astype(int)
    right, below = (u - left)[:, None], (v - above)[:, None]
    upper = picture[above, left] * (1 - right) + picture[above, left + 1] * right
    lower = picture[above + 1, left] * (1 - right) + picture[above + 1, left + 1] * right
    return (upper * (1 - below) + lower * below).round().astype(np.uint8).reshape(height, width, 3)


def main(film: str, folder: str) -> None:
    frame = next((frame for number, frame in enumerate(vl.open_source(film)) if number == PICTURE), None)
    if frame is None:
        raise SystemExit(f"{film} has no picture {PICTURE}")
    target = pathlib.Path(folder) / "box.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    vl.Frame.from_array(upright(frame.image("rgb").numpy(), LID, SIZE)).save(target)
    print(f"{target}: the lid, cut from picture {PICTURE} of {film}, at {frame.media_time:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
