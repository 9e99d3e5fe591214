"""From decoded planes, and from ready RGB, to a model's input: what people write without Vidloom. Each task is one library's way.

The pictures are the first of the row's film, as planes; RGB is made of them by swscale through PyAV, which is inside the clock unless
the task's name begins with `ready_`. swscale's usual way takes the nearest chroma sample; `accurate_` asks for its best.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
import torch
from av.video.reformatter import Interpolation
from PIL import Image

from .. import cuda_stubs
from ..peer import Reply, serve

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
ACCURATE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


@cache
def frames(path: str, most: int) -> list[av.VideoFrame]:
    container = av.open(path)
    return [frame for frame, _ in zip(container.decode(video=0), range(most), strict=False)]


def torchvision() -> Any:
    cuda_stubs.load(pathlib.Path(os.environ["SIDE_BY_SIDE_STUBS"]))
    from torchvision.transforms import v2

    return v2


@cache
def processor(backend: str) -> Any:
    torchvision()
    from transformers import CLIPImageProcessor, CLIPImageProcessorPil

    options = {
        "size": {"shortest_edge": 224},
        "crop_size": {"height": 224, "width": 224},
        "image_mean": list(MEAN),
        "image_std": list(DEVIATION),
    }
    return (CLIPImageProcessor if backend == "torchvision" else CLIPImageProcessorPil)(**options)


def rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24")


def accurate_rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24", interpolation=ACCURATE)


def normalised(chw: torch.Tensor) -> torch.Tensor:
    return (chw.to(torch.float32) / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def hf_torchvision(picture: np.ndarray) -> Any:
    return processor("torchvision")(torch.from_numpy(picture).permute(2, 0, 1), return_tensors="pt")["pixel_values"][0]


def hf_pil(picture: np.ndarray) -> Any:
    return processor("pil")(Image.fromarray(picture), return_tensors="np")["pixel_values"][0]


def torchvision_v2(picture: np.ndarray) -> torch.Tensor:
    v2 = torchvision()
    chw = torch.from_numpy(picture).permute(2, 0, 1)  # channels last in memory: torch's fast path for uint8
    short, crop = 224, int(224 * max(chw.shape[1:]) / min(chw.shape[1:]))
    size = [short, crop] if chw.shape[2] >= chw.shape[1] else [crop, short]
    small = v2.functional.resize(chw, size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    top, left = (small.shape[1] - 224) // 2, (small.shape[2] - 224) // 2
    return normalised(small[:, top : top + 224, left : left + 224])


def cv2_cubic(picture: np.ndarray) -> np.ndarray:
    """OpenCV's INTER_CUBIC: another kernel and no antialiasing, so not the model's own preparation."""
    height, width = picture.shape[:2]
    scale = 224 / min(height, width)
    small = cv2.resize(picture, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_CUBIC)
    top, left = (small.shape[0] - 224) // 2, (small.shape[1] - 224) // 2
    cut = small[top : top + 224, left : left + 224].astype(np.float32) / 255
    return np.ascontiguousarray(((cut - np.float32(MEAN)) / np.float32(DEVIATION)).transpose(2, 0, 1))


def letterbox(picture: np.ndarray, side: int = 640) -> np.ndarray:
    """Ultralytics' LetterBox (cv2 INTER_LINEAR, 114 around) and its later steps, written with the same calls."""
    height, width = picture.shape[:2]
    scale = min(side / height, side / width)
    inner = (round(width * scale), round(height * scale))
    small = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
    dx, dy = (side - inner[0]) / 2, (side - inner[1]) / 2
    padded = cv2.copyMakeBorder(
        small, round(dy - 0.1), round(dy + 0.1), round(dx - 0.1), round(dx + 0.1), cv2.BORDER_CONSTANT, value=(114, 114, 114)
    )
    return np.ascontiguousarray(padded.transpose(2, 0, 1)).astype(np.float32) / 255


def plain_rgb(picture: np.ndarray) -> np.ndarray:
    return picture


WAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "hf_torchvision": hf_torchvision,
    "hf_pil": hf_pil,
    "torchvision_v2": torchvision_v2,
    "cv2_cubic": cv2_cubic,
    "letterbox": letterbox,
    "plain_rgb": plain_rgb,
}


def task(name: str) -> Callable[[dict[str, str], Reply], None]:
    make, ready = WAYS[name.removeprefix("ready_").removeprefix("accurate_")], name.startswith("ready_")
    to_rgb = accurate_rgb if name.startswith("accurate_") else rgb

    def run(request: dict[str, str], reply: Reply) -> None:
        torch.set_num_threads(int(request.get("threads", "1")))
        cv2.setNumThreads(int(request.get("threads", "1")))
        planes = frames(request["file"], int(request.get("most", 10)))
        pictures = [rgb(frame) for frame in planes] if ready else planes
        make(to_rgb(planes[0]))

        def work() -> None:
            for frame, picture in zip(planes, pictures, strict=True):
                result = make(picture if ready else to_rgb(frame))
                reply.picture(frame.time, np.asarray(result))

        reply.timed(work, len(planes))

    return run


if __name__ == "__main__":
    serve({name: task(name) for way in WAYS for name in (way, f"ready_{way}", f"accurate_{way}")})
