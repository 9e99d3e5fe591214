"""Whether what a participant delivered is what it was asked for. A gate that fails voids the participant's figure in that row."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import reference
from .media import Clip

GRID = (18, 32)


@dataclass(frozen=True)
class Verdict:
    passed: bool
    text: str


def times_agree(found: Sequence[float], wanted: Sequence[float], *, ordered: bool = True) -> Verdict:
    """Every picture once, at its container's time (within half a millisecond: some peers give milliseconds)."""
    if len(found) != len(wanted):
        return Verdict(False, f"{len(found)} pictures instead of {len(wanted)}")
    left, right = (list(found), list(wanted)) if ordered else (sorted(found), sorted(wanted))
    for place, (a, b) in enumerate(zip(left, right, strict=True)):
        if abs(a - b) > 5e-4:
            return Verdict(False, f"picture {place} is of {a:.4f} s instead of {b:.4f} s")
    return Verdict(True, f"{len(found)} times exact")


def fingerprint(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of blocks of one channel, (h, w) -> 576 values less their mean."""
    height, width = (picture.shape[0] // GRID[0]) * GRID[0], (picture.shape[1] // GRID[1]) * GRID[1]
    blocks = picture[:height, :width].reshape(GRID[0], height // GRID[0], GRID[1], width // GRID[1])
    means = blocks.mean((1, 3), dtype=np.float32).reshape(-1)
    return np.asarray(means - means.mean(), np.float32)


@cache
def _fingerprints(path: pathlib.Path, sha256: str, size: tuple[int, int]) -> NDArray[np.float32]:
    """Of every picture of the film, from accurate RGB; kept beside the film."""
    kept = path.with_suffix(path.suffix + f".{sha256[:8]}.npy")
    if kept.exists():
        return np.asarray(np.load(kept))
    import subprocess

    width, height = size
    flags = ["-sws_flags", "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"]
    command = ["ffmpeg", "-loglevel", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", *flags]
    found = []
    with subprocess.Popen([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        while len(raw := process.stdout.read(width * height * 3)) == width * height * 3:
            found.append(fingerprint(np.frombuffer(raw, np.uint8).reshape(height, width, 3)[..., 1]))
    result = np.stack(found)
    np.save(kept, result)
    return result


def planes(clip: Clip, times: Sequence[float]) -> tuple[int, Callable[[Iterator[bytes]], Any], Callable[[Any, Sequence[float]], Verdict]]:
    """md5 of each picture's planes equal to `ffmpeg -f framemd5` of the picture of that time (even sizes).

    Returns bytes of a picture, what takes them, what judges them.
    """
    width, height = clip.size
    by_time = {round(time, 3): digest for time, digest in zip(clip.times, clip.md5, strict=True)}

    def take(pictures: Iterator[bytes]) -> list[str]:
        return [hashlib.md5(picture).hexdigest() for picture in pictures]

    def judge(digests: list[str], found: Sequence[float]) -> Verdict:
        if len(digests) != len(found):
            return Verdict(False, f"{len(digests)} pictures for {len(found)} times")
        wrong = [time for digest, time in zip(digests, found, strict=True) if by_time.get(round(time, 3)) != digest]
        if wrong:
            return Verdict(False, f"{len(wrong)} of {len(found)} pictures are not ffmpeg's, the first at {wrong[0]:.3f} s")
        return Verdict(True, f"md5 of {len(found)} pictures")

    return width * height * 3 // 2, take, judge


def rgb(
    clip: Clip, times: Sequence[float], most_mean: float
) -> tuple[int, Callable[[Iterator[bytes]], Any], Callable[[Any, Sequence[float]], Verdict]]:
    """Each picture is nearest to the picture of its time among all of the film (by block means), and the first, middle and last are within
    `most_mean` levels of accurate RGB on average."""
    width, height = clip.size
    known = _fingerprints(clip.path, clip.sha256, clip.size)
    place_of = {round(time, 3): place for place, time in enumerate(clip.times)}
    looked_at = {0, len(times) // 2, len(times) - 1}

    def take(pictures: Iterator[bytes]) -> tuple[list[Any], dict[int, Any]]:
        prints, kept = [], {}
        for place, raw in enumerate(pictures):
            picture = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
            prints.append(fingerprint(picture[..., 1]))
            if place in looked_at:
                kept[place] = picture
        return prints, kept

    def judge(taken: tuple[list[Any], dict[int, Any]], found: Sequence[float]) -> Verdict:
        prints, kept = taken
        if len(prints) != len(found):
            return Verdict(False, f"{len(prints)} pictures for {len(found)} times")
        strange = [time for time in found if round(time, 3) not in place_of]
        if strange:
            return Verdict(False, f"no picture of the film is of {strange[0]:.4f} s")
        claimed = [place_of[round(time, 3)] for time in found]
        stack = np.stack(prints)
        if len(stack) >= 10:  # another matrix shifts colours, the same way in all pictures
            stack = stack - np.median(stack - known[claimed], axis=0)
        for mine, place, time in zip(stack, claimed, found, strict=True):
            distances = np.square(known - mine).sum(1)
            nearest = int(distances.argmin())
            # Pictures that the encoder copied from their neighbours are equally far.
            if distances[place] > 1.25 * distances[nearest] + 0.5:
                return Verdict(False, f"the picture given as {time:.3f} s is that of {clip.times[nearest]:.3f} s")
        indices = [place_of[round(found[place], 3)] for place in kept]
        means = [float(np.abs(mine.astype(np.int16) - true).mean()) for mine, true in zip(kept.values(), clip.rgb(indices), strict=True)]
        worst = max(means)
        text = f"{len(found)} pictures, {worst:.2f} of 255 from accurate RGB"
        return Verdict(worst <= most_mean, text)

    return width * height * 3, take, judge


def tensor(
    clip: Clip, kind: str, side: int, dtype: str, most_mean: float
) -> tuple[int, Callable[[Iterator[bytes]], Any], Callable[[Any, Sequence[float]], Verdict]]:
    """Mean difference from the exact path of reference.py, in 255ths, over the first three pictures."""
    count = 3
    mean = np.asarray((0.48145466, 0.4578275, 0.40821073))[:, None, None] if kind == "clip" else 0.0
    deviation = np.asarray((0.26862954, 0.26130258, 0.27577711))[:, None, None] if kind == "clip" else 1.0
    make = reference.clip_input if kind == "clip" else reference.letterboxed

    def take(pictures: Iterator[bytes]) -> list[NDArray[np.float64]]:
        found = [np.frombuffer(raw, np.dtype(dtype)).reshape(3, side, side) for raw in pictures]
        return [(value.astype(np.float64) * deviation + mean) * 255 for value in found[:count]]

    def judge(found: list[NDArray[np.float64]], _: Sequence[float]) -> Verdict:
        differences = [np.abs(mine - make(rows, side)) for mine, rows in zip(found, clip.planes(count), strict=False)]
        if len(differences) < count:
            return Verdict(False, f"{len(differences)} tensors")
        average = float(np.mean([value.mean() for value in differences]))
        tail = float(np.quantile(np.concatenate([value.reshape(-1) for value in differences]), 0.999))
        return Verdict(average <= most_mean, f"mean {average:.2f}, p99.9 {tail:.1f} of 255")

    return 3 * side * side * np.dtype(dtype).itemsize, take, judge


def full_rgb(clip: Clip, most_mean: float) -> tuple[int, Callable[[Iterator[bytes]], Any], Callable[[Any, Sequence[float]], Verdict]]:
    """Mean and largest difference of full-size RGB from the exact path, first picture."""
    width, height = clip.size

    def take(pictures: Iterator[bytes]) -> list[NDArray[np.uint8]]:
        return [np.frombuffer(raw, np.uint8).reshape(height, width, 3) for place, raw in enumerate(pictures) if place == 0]

    def judge(found: list[NDArray[np.uint8]], _: Sequence[float]) -> Verdict:
        if not found:
            return Verdict(False, "no picture")
        true = np.clip(np.rint(reference.rgb_of(clip.planes(1)[0])), 0, 255).transpose(1, 2, 0)
        difference = np.abs(found[0] - true)
        text = f"mean {difference.mean():.2f}, p99.9 {np.quantile(difference, 0.999):.0f} of 255"
        return Verdict(bool(difference.mean() <= most_mean), text)

    return width * height * 3, take, judge


def values(wanted: Sequence[float], tolerance: float) -> Callable[[Sequence[float]], Verdict]:
    """A statistic of every picture equal to the one computed from ffmpeg's own planes."""

    def judge(found: Sequence[float]) -> Verdict:
        if len(found) != len(wanted):
            return Verdict(False, f"{len(found)} values instead of {len(wanted)}")
        worst = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
        return Verdict(worst <= tolerance, f"{len(found)} values within {worst:.3g}")

    return judge


def embeddings(wanted: Sequence[Sequence[float]], labels: Sequence[Sequence[float]], cosine: float) -> Callable[[Sequence[float]], Verdict]:
    """Embeddings near those of fp32, and of 99 in 100 pictures the same best label, or one whose cosine in fp32 is less by no more than
    1e-4: a hundredth of what CLIP's softmax looks at, which random weights do not keep apart."""
    rows, names = np.asarray(wanted), np.asarray(labels)

    def judge(found: Sequence[float]) -> Verdict:
        if len(found) != rows.size:
            return Verdict(False, f"{len(found)} values instead of {rows.size}")
        given = np.asarray(found).reshape(rows.shape)
        products = np.einsum("ij,ij->i", given, rows) / np.linalg.norm(given, axis=1) / np.linalg.norm(rows, axis=1)
        scores = rows @ names.T
        best = scores[np.arange(len(rows)), np.argmax(given @ names.T, 1)]
        same = int(np.sum(best >= scores.max(1) - 1e-4))
        passed = bool(products.min() >= cosine) and same >= 0.99 * len(rows)
        return Verdict(passed, f"cosine {products.min():.6f} or more, {same} of {len(rows)} best labels the same")

    return judge
