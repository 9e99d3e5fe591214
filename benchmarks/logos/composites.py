"""Films in which it is known where which mark is: references of two kinds, pasted on frames of OpenCV's sample films.

python composites.py DATA CLIPS OUT --split held --seed 1 --sets 16 [--only 3]

Pictures come from npm packages (simple-icons, CC0; Font Awesome's brand glyphs, CC BY) and Debian's opencv-doc, fetched into DATA by
``fetch.sh``. Nothing of them is kept in the tree. The same seed makes the same films (with the same OpenCV and x264), each set by
itself: sets that are there already are left alone, so that a run can be stopped and taken up, and several may run side by side with
different ``--only``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import zlib
from pathlib import Path

import cv2
import numpy as np

SIZES = (32, 48, 60, 80, 120, 160, 240)
DAMAGES = ("crf18", "crf28", "crf35", "blur", "hidden")
FLAT, TEXTURED_MARKS = 7, 3  # of a set
# Pictures of opencv-doc, whole, a part (x, y, w, h as shares), or what differs from the colour of the border.
TEXTURED = {
    "tune": [
        ("box.png", "cut"),
        ("fruits.jpg", (0.1, 0.2, 0.5, 0.4)),
        ("baboon.jpg", (0.2, 0.1, 0.6, 0.5)),
        ("graf1.png", (0.1, 0.3, 0.4, 0.4)),
        ("home.jpg", (0.2, 0.2, 0.5, 0.5)),
        ("aloeL.jpg", (0.3, 0.3, 0.3, 0.3)),
        ("orange.jpg", None),
        ("starry_night.jpg", (0.1, 0.1, 0.5, 0.5)),
        ("butterfly.jpg", (0.1, 0.2, 0.5, 0.5)),
        ("board.jpg", (0.2, 0.2, 0.4, 0.4)),
        ("building.jpg", (0.2, 0.3, 0.4, 0.4)),
        ("leuvenA.jpg", (0.3, 0.4, 0.35, 0.35)),
        ("basketball1.png", (0.3, 0.2, 0.4, 0.5)),
        ("stuff.jpg", (0.1, 0.1, 0.6, 0.6)),
        ("rubberwhale1.png", (0.1, 0.1, 0.6, 0.6)),
        ("messi5.jpg", (0.05, 0.05, 0.5, 0.7)),
        ("opencv-logo.png", "cut"),
    ],
    "held": [
        ("chicky_512.png", (0.2, 0.1, 0.6, 0.7)),
        ("WindowsLogo.jpg", None),
        ("squirrel_cls.jpg", (0.4, 0.2, 0.45, 0.6)),
        ("aero1.jpg", (0.2, 0.2, 0.6, 0.6)),
        ("HappyFish.jpg", "cut"),
        ("right.jpg", (0.38, 0.3, 0.42, 0.55)),
        ("cards.png", (0.15, 0.25, 0.4, 0.55)),
        ("ml.png", "cut"),
    ],
}


@dataclasses.dataclass
class Mark:
    brand: str
    kind: str  # flat, textured
    picture: np.ndarray  # BGRA, cut to what is visible


@dataclasses.dataclass
class Truth:
    brand: str
    kind: str
    size: int  # longest side, pixels
    angle: float
    damage: str
    plate: bool
    corners: list[list[float]]


def svg_to_png(svg: Path, png: Path, side: int = 512) -> None:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "svg_pipe", "-width", str(side), "-i", str(svg), "-pix_fmt", "rgba", str(png)],
        check=True,
    )


def visible(picture: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(picture[:, :, 3] >= 64)
    return picture[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


def family(stem: str) -> str:
    """What a brand's marks have in common by name: `github`, `github-alt` and `square-github` are one."""
    return re.sub(r"^square-|-", "", stem)


def related(a: str, b: str) -> bool:
    return a.startswith(b) or b.startswith(a)


def flat_marks(data: Path, split: str, count: int, seed: int) -> list[Mark]:
    """``count`` glyphs, half of each package, no two of one family. Whether a brand is in tune or held hangs on its name alone."""
    work = data / "png"
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
    marks: list[Mark] = []
    families: list[str] = []
    for pattern, which in (("simple-icons*/package/icons", "si"), ("*fontawesome*/package/svgs/brands", "fa")):
        folder = sorted(data.glob(pattern))[0]
        files = [file for file in sorted(folder.glob("*.svg")) if re.fullmatch(r"[a-z0-9-]+", file.stem)]
        files = [file for file in files if ("tune", "held")[zlib.crc32(family(file.stem)[:4].encode()) % 2] == split]
        taken = 0
        for index in rng.permutation(len(files)):
            file = files[int(index)]
            if any(related(family(file.stem), other) for other in families):
                continue
            png = work / f"{which}-{file.stem}.png"
            if not png.exists():
                drawn = png.with_suffix(f".{os.getpid()}.png")
                svg_to_png(file, drawn)
                drawn.replace(png)
            picture = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
            if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
                continue
            picture = visible(picture)
            if max(picture.shape[:2]) > 4 * min(picture.shape[:2]):
                continue
            marks.append(Mark(f"{which}-{file.stem}", "flat", picture))
            families.append(family(file.stem))
            taken += 1
            if taken == count // 2:
                break
    # One of each package in turn, so that every set has both.
    half = len(marks) // 2
    return [mark for pair in zip(marks[:half], marks[half:], strict=True) for mark in pair]


def textured_marks(data: Path, split: str) -> list[Mark]:
    marks = []
    for name, part in TEXTURED[split]:
        found = sorted(data.glob(f"doc/**/{name}"))
        if not found:
            continue
        picture = cv2.imread(str(found[0]))
        h, w = picture.shape[:2]
        mask = np.full((h, w), 255, np.uint8)
        if part == "cut":  # a mark on one colour: its outline is what differs from that
            ground = np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]), 0)
            mask = np.clip(np.abs(picture.astype(np.float32) - ground).max(2) * 4, 0, 255).astype(np.uint8)
        elif part:
            x, y, pw, ph = part
            picture = picture[int(y * h) : int((y + ph) * h), int(x * w) : int((x + pw) * w)]
            mask = mask[: picture.shape[0], : picture.shape[1]]
        scale = 480 / max(picture.shape[:2])
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        mask = cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
        marks.append(Mark("tx-" + name.split(".")[0].lower(), "textured", visible(np.dstack([picture, mask]))))
    return marks


def frames_of(film: Path, step: int, first: float = 0.0, last: float = 1.0) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(film))
    frames = []
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        frames.append(frame)
    return frames[int(first * len(frames)) : int(last * len(frames)) : step]


def backgrounds(clips: Path, split: str) -> list[np.ndarray]:
    """768x576 each. Tune: the first halves of vtest and tree; held: the second halves, and cup."""
    if split == "tune":
        chosen = frames_of(clips / "vtest.avi", 5, 0, 0.5) + frames_of(clips / "tree.avi", 12, 0, 0.5)
    else:
        chosen = frames_of(clips / "vtest.avi", 5, 0.5, 1) + frames_of(clips / "tree.avi", 12, 0.5, 1) + frames_of(clips / "cup.mp4", 6)
    return [cv2.resize(frame, (768, 576), interpolation=cv2.INTER_CUBIC) for frame in chosen]


def ground_of(grounds: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One of them, half of them mirrored, most as a part of up to two thirds' side: many more pictures than the films have."""
    ground = grounds[int(rng.integers(len(grounds)))]
    h, w = ground.shape[:2]
    share = float(rng.uniform(0.66, 1.2))
    if share < 1:
        x, y = rng.uniform(0, 1 - share, 2)
        ground = ground[int(y * h) : int((y + share) * h), int(x * w) : int((x + share) * w)]
        ground = cv2.resize(ground, (w, h), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(ground[:, ::-1] if rng.random() < 0.5 else ground)


def luma(bgr: np.ndarray) -> float:
    return float(bgr @ np.array([0.114, 0.587, 0.299]))


def paste(
    frame: np.ndarray, mark: Mark, size: int, angle: float, perspective: float, damage: str, rng: np.random.Generator
) -> tuple[np.ndarray, list[list[float]], bool]:
    """The mark on the frame. Returns the picture, the corners of its visible part (pixel edges) and whether it got a plate of its own."""
    h, w = mark.picture.shape[:2]
    picture = mark.picture.astype(np.float32)
    factor = size / max(h, w)
    half = np.array([w, h]) * factor / 2
    corners = np.array([[-half[0], -half[1]], [half[0], -half[1]], [half[0], half[1]], [-half[0], half[1]]])
    corners = corners * (1 + perspective * rng.uniform(-1, 1, (4, 2)))
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    corners = corners @ np.array([[c, s], [-s, c]])
    reach = np.abs(corners).max(0) * 1.25 + 4
    centre = np.array([rng.uniform(reach[0], frame.shape[1] - reach[0]), rng.uniform(reach[1], frame.shape[0] - reach[1])])
    corners = corners + centre
    plate = False
    if mark.kind == "flat":
        x1, y1 = np.floor(corners.min(0)).astype(int)
        x2, y2 = np.ceil(corners.max(0)).astype(int)
        ground = luma(frame[y1:y2, x1:x2].reshape(-1, 3).mean(0))
        plate = bool(rng.random() < 0.5)
        if plate:
            colour = rng.choice([20.0, 235.0]) + rng.uniform(-15, 15, 3)
            ground = luma(colour)
            margin = 0.15 * max(h, w)
            area = np.float32([[-margin, -margin], [w + margin, -margin], [w + margin, h + margin], [-margin, h + margin]])
            to = cv2.perspectiveTransform(
                area[None], cv2.getPerspectiveTransform(np.float32([[0, 0], [w, 0], [w, h], [0, h]]), corners.astype(np.float32))
            )[0]
            cover = np.zeros(frame.shape[:2], np.uint8)
            cv2.fillConvexPoly(cover, np.round(to * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
            frame = (frame * (1 - cover[..., None] / 255) + colour * (cover[..., None] / 255)).astype(np.uint8)
        while True:
            ink = rng.uniform(0, 255, 3)
            if abs(luma(ink) - ground) >= 60:
                break
        picture = picture.copy()
        picture[:, :, :3] = ink
    # Antialiased: drawn 4 times as large, then averaged.
    over = 4
    x0, y0 = np.floor(corners.min(0)).astype(int) - 4
    x1, y1 = np.ceil(corners.max(0)).astype(int) + 4
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, frame.shape[1]), min(y1, frame.shape[0])
    to = ((corners - [x0, y0]) * over).astype(np.float32)
    map_ = cv2.getPerspectiveTransform(np.float32([[0, 0], [w, 0], [w, h], [0, h]]), to)
    premultiplied = picture.copy()
    premultiplied[:, :, :3] *= picture[:, :, 3:] / 255
    large = cv2.warpPerspective(premultiplied, map_, ((x1 - x0) * over, (y1 - y0) * over), flags=cv2.INTER_AREA)
    small = cv2.resize(large, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    out = frame.astype(np.float32)
    part = out[y0:y1, x0:x1]
    out[y0:y1, x0:x1] = part * (1 - small[:, :, 3:] / 255) + small[:, :, :3]
    if damage == "hidden":
        # A piece of another part of the frame covers 30 % of the mark's box from one side.
        side, share = int(rng.integers(4)), 0.3
        bx1, by1, bx2, by2 = *np.floor(corners.min(0)).astype(int), *np.ceil(corners.max(0)).astype(int)
        bw, bh = bx2 - bx1, by2 - by1
        if side == 0:
            bx2 = bx1 + int(bw * share)
        elif side == 1:
            bx1 = bx2 - int(bw * share)
        elif side == 2:
            by2 = by1 + int(bh * share)
        else:
            by1 = by2 - int(bh * share)
        bx1, by1, bx2, by2 = max(bx1, 0), max(by1, 0), min(bx2, frame.shape[1]), min(by2, frame.shape[0])
        sx, sy = int(rng.integers(0, frame.shape[1] - (bx2 - bx1))), int(rng.integers(0, frame.shape[0] - (by2 - by1)))
        out[by1:by2, bx1:bx2] = frame[sy : sy + by2 - by1, sx : sx + bx2 - bx1]
    if damage == "blur":
        if rng.random() < 0.5:
            out = cv2.GaussianBlur(out, (0, 0), 1.4)
        else:
            kernel = np.zeros((5, 5), np.float32)
            kernel[2, :] = 0.2
            out = cv2.filter2D(out, -1, kernel if rng.random() < 0.5 else kernel.T)
    return np.clip(np.round(out), 0, 255).astype(np.uint8), corners.tolist(), plate


def write_film(frames: list[np.ndarray], path: Path, crf: int) -> None:
    h, w = frames[0].shape[:2]
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "bgr24",
        "-s",
        f"{w}x{h}",
        "-r",
        "10",
        "-i",
        "-",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        str(crf),
        "-x264-params",
        "keyint=1",
        "-pix_fmt",
        "yuv420p",
        "-threads",
        "1",
        str(path),
    ]
    subprocess.run(command, input=b"".join(frame.tobytes() for frame in frames), check=True)


CRF = {"crf18": 18, "crf28": 28, "crf35": 35, "blur": 23, "hidden": 23, "none": 28}


def make_set(
    folder: Path, mine: list[Mark], others: list[Mark], grounds: list[np.ndarray], rng: np.random.Generator, per_cell: int, negatives: int
) -> None:
    references = folder / "references"
    references.mkdir(parents=True, exist_ok=True)
    for mark in mine:
        cv2.imwrite(str(references / f"{mark.brand}.png"), mark.picture if (mark.picture[:, :, 3] < 255).any() else mark.picture[:, :, :3])
    truth: dict[str, list] = {}
    for damage in DAMAGES:
        frames, rows = [], []
        for size in SIZES:
            for kind in ("flat", "textured"):
                choice = [mark for mark in mine if mark.kind == kind]
                for _ in range(per_cell):
                    mark = choice[int(rng.integers(len(choice)))]
                    # Half upright to a few degrees, half turned by up to 40; a third seen askew.
                    angle = float(rng.uniform(-4, 4) if rng.random() < 0.5 else rng.choice([-1, 1]) * rng.uniform(4, 40))
                    perspective = 0.08 if rng.random() < 0.33 else 0.0
                    picture, corners, plate = paste(ground_of(grounds, rng), mark, size, angle, perspective, damage, rng)
                    frames.append(picture)
                    rows.append(dataclasses.asdict(Truth(mark.brand, kind, size, angle, damage, plate, corners)))
        write_film(frames, folder / f"{damage}.mp4", CRF[damage])
        truth[damage] = rows
    for part in range(0, negatives, 200):
        frames = []
        for k in range(part, min(part + 200, negatives)):
            ground = ground_of(grounds, rng)
            if k % 3 != 0:
                mark = others[int(rng.integers(len(others)))]
                ground = paste(ground, mark, int(rng.choice(SIZES)), float(rng.uniform(-40, 40)), 0.0, "none", rng)[0]
            frames.append(ground)
        name = f"none{part // 200}"
        write_film(frames, folder / f"{name}.mp4", int(rng.choice([18, 28, 35])))
        truth[name] = [None] * len(frames)
    (folder / "truth.json").write_text(json.dumps(truth))  # last: a set with it is whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("clips", type=Path, help="where vtest.avi, tree.avi and cup.mp4 lie")
    parser.add_argument(
        "out", type=Path, help="gets a folder SPLIT-NUMBER a set: references/ of 7 flat and 3 textured marks, films, truth.json"
    )
    parser.add_argument("--split", choices=("tune", "held"), default="held")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sets", type=int, default=16)
    parser.add_argument("--only", type=int, help="this set of them alone")
    parser.add_argument("--per-cell", type=int, default=2, help="composites of each damage, size and kind in a set; 2: 140 in all")
    parser.add_argument(
        "--negatives", type=int, default=320, help="pictures of a set without one of its marks; two of three carry another brand's"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    flat = flat_marks(options.data, options.split, (FLAT * options.sets + 1) // 2 * 2, options.seed)
    textured = textured_marks(options.data, options.split)
    grounds = backgrounds(options.clips, options.split)
    for index in range(options.sets) if options.only is None else [options.only]:
        folder = options.out / f"{options.split}-{index}"
        if (folder / "truth.json").exists():
            continue
        mine = flat[FLAT * index : FLAT * (index + 1)]
        mine += [textured[(TEXTURED_MARKS * index + k) % len(textured)] for k in range(TEXTURED_MARKS)]
        names = {mark.brand for mark in mine}
        others = [mark for mark in flat + textured if mark.brand not in names]
        rng = np.random.default_rng([options.seed, zlib.crc32(options.split.encode()), index])
        make_set(folder, mine, others, grounds, rng, options.per_cell, options.negatives)


if __name__ == "__main__":
    main()
