"""A slow, exact path from planes to a model's input, to judge the fast ones by. float64 throughout, clamped once, at the end.

Chroma is raised with the bicubic kernel of a = -0.5 (Keys, *Cubic convolution interpolation*, 1981), sited left as MPEG-2 and H.264 do
unless told otherwise; the matrix is ITU-R BT.709's or BT.601's; pictures shrink as Pillow shrinks them: the same kernel, widened by the
scale.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
KR_KB = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}


def cubic(x: Floats) -> Floats:
    a, x = -0.5, np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def triangle(x: Floats) -> Floats:
    return np.maximum(0.0, 1.0 - np.abs(x))


@cache
def weights(source: int, target: int, kernel: Callable[[Floats], Floats], support: float) -> Floats:
    """(target, source): rows sum to 1. Pillow's rule: the kernel widened by the scale when shrinking, cut at the picture's edge."""
    scale = source / target
    widened = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    taps = np.arange(source)[None, :] + 0.5 - centres[:, None]
    values = kernel(taps / widened)
    # Pillow's window: from int(centre - support + 0.5) to int(centre + support + 0.5)
    low = np.maximum(0, (centres - support * widened + 0.5).astype(int))
    high = np.minimum(source, (centres + support * widened + 0.5).astype(int))
    place = np.arange(source)[None, :]
    values = np.where((place >= low[:, None]) & (place < high[:, None]), values, 0.0)
    return np.asarray(values / values.sum(1, keepdims=True))


def resize(channels: Floats, height: int, width: int, kernel: Callable[[Floats], Floats], support: float) -> Floats:
    """(c, h, w) -> (c, height, width)."""
    rows = weights(channels.shape[1], height, kernel, support)
    columns = weights(channels.shape[2], width, kernel, support)
    return np.asarray(np.einsum("yh,chw,xw->cyx", rows, channels, columns, optimize=True))


@cache
def _raised(source: int, target: int, left: bool) -> Floats:
    """Weights that double the samples of one axis. `left`: samples stand on even luma positions, else midway between two."""
    position = np.arange(target) / 2 if left else (np.arange(target) + 0.5) / 2 - 0.5
    base = np.floor(position).astype(int)
    result = np.zeros((target, source))
    for tap in range(-1, 3):
        value = cubic((position - (base + tap)).astype(np.float64))
        np.add.at(result, (np.arange(target), np.clip(base + tap, 0, source - 1)), value)
    return result


def rgb_of(planes: NDArray[np.uint8], matrix: str = "bt709") -> Floats:
    """Rows of one yuv420p picture of limited range, (h * 3 / 2, w) -> (3, h, w) in 0..255, not clamped, not rounded. Even sizes."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    flat = planes.reshape(-1)
    y = flat[: height * width].reshape(height, width).astype(np.float64)
    chroma = flat[height * width :].reshape(2, height // 2, width // 2).astype(np.float64)
    raised = np.einsum("yh,chw,xw->cyx", _raised(height // 2, height, False), chroma, _raised(width // 2, width, True), optimize=True)
    kr, kb = KR_KB[matrix]
    luma = (y - 16) * (255 / 219)
    cb, cr = (raised - 128) * (255 / 224)
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.stack([red, green, blue])


def clip_input(planes: NDArray[np.uint8], side: int = 224) -> Floats:
    """Short side to `side`, antialiased bicubic, centred square: (3, side, side) in 0..255."""
    rgb = rgb_of(planes)
    height, width = rgb.shape[1:]
    if height <= width:
        small = resize(rgb, side, int(side * width / height), cubic, 2.0)
    else:
        small = resize(rgb, int(side * height / width), side, cubic, 2.0)
    top, left = (small.shape[1] - side) // 2, (small.shape[2] - side) // 2
    return np.clip(small[:, top : top + side, left : left + side], 0, 255)


def letterboxed(planes: NDArray[np.uint8], side: int = 640) -> Floats:
    """The whole picture inside a square, antialiased bilinear, 114 around: (3, side, side) in 0..255."""
    rgb = rgb_of(planes)
    height, width = rgb.shape[1:]
    scale = min(side / height, side / width)
    inner_height, inner_width = round(height * scale), round(width * scale)
    small = np.clip(resize(rgb, inner_height, inner_width, triangle, 1.0), 0, 255)
    result = np.full((3, side, side), 114.0)
    top, left = (side - inner_height) // 2, (side - inner_width) // 2
    result[:, top : top + inner_height, left : left + inner_width] = small
    return result
