"""CLIP's picture tower on a GPU beside transformers and torch.compile, and a segment to its scores.

cuda_clip.py TOWERS [SEGMENT] takes the program vidloom_bench_towers, and a segment of video for the second part, which wants vidloom
itself. Random weights: speed does not depend on them. All in turn, in rounds; from float32 pixels in the CPU's memory to embeddings
there; medians a batch, and paired ratios to ours with intervals of 95 %. A participant whose embeddings have less than a cosine of
0.999 with those of transformers in fp32 is void.
"""

from __future__ import annotations

import copy
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from side_by_side.random_clip import Vision, write_vocabulary
from side_by_side.stats import paired_ratio

SHAPES = {
    "ViT-B/32": {},
    "ViT-L/14": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 14},
}
KINDS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
LABELS = ["cat", "dog", "car", "house", "tree", "person", "street", "boat", "bird", "box", "phone", "chair", "window", "road", "crowd"]
LABELS += ["sky", "river", "horse", "train", "book"]
Participant = Callable[[], tuple[float, np.ndarray]]  # seconds, (n, embedding)


def make(folder: pathlib.Path, vision: dict) -> Vision:
    torch.manual_seed(5)
    config = transformers.CLIPConfig(vision_config=vision, projection_dim=512)
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(folder)
    write_vocabulary(folder)
    return Vision(model).eval()


class Towers:
    """The program behind its line protocol."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def image(self, folder: pathlib.Path, route: str, pixels: pathlib.Path, batch: int) -> tuple[float, np.ndarray]:
        print(f"image\tmodel={folder}\troute={route}\tpixels={pixels}\tbatch={batch}", file=self.process.stdin, flush=True)
        reply = json.loads(self.process.stdout.readline())
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["seconds"] * batch, np.asarray(reply["values"]).reshape(batch, -1)


def torch_participant(run: Callable, pixels: np.ndarray, kind: torch.dtype) -> Participant:
    def once() -> tuple[float, np.ndarray]:
        with torch.inference_mode():
            start = time.perf_counter()
            rows = run(torch.from_numpy(pixels).to("cuda").to(kind)).float().cpu()
            return time.perf_counter() - start, rows.numpy()

    return once


def rounds(people: dict[str, Participant], count: int, check: Callable[[np.ndarray], str] = lambda rows: "") -> Iterator[str]:
    """A line a participant; the first is ours."""
    voids = {}
    for name, once in people.items():
        for _ in range(4):
            _, rows = once()
        voids[name] = check(rows)
    seconds: dict[str, list[float]] = {name: [] for name in people}
    for _ in range(count):
        for name, once in people.items():
            seconds[name].append(once()[0])
    ours = seconds[next(iter(people))]
    for name, times in seconds.items():
        ratio = paired_ratio(list(zip(times, ours, strict=True)))
        yield voids[name] or f"{name}: {statistics.median(times) * 1e3:.3f} ms, x{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def towers(program: str, scratch: pathlib.Path, shape: str, precisions: list[str], count: int) -> Vision:
    folder = scratch / shape.replace("/", "-")
    vision = make(folder, SHAPES[shape])
    pixels = np.random.default_rng(3).normal(0, 1, (32, 3, 224, 224)).astype(np.float32)
    file = scratch / "pixels.bin"
    pixels.tofile(file)
    torch.backends.cuda.matmul.allow_tf32 = False
    vision = vision.to("cuda")
    with torch.inference_mode():
        expected = vision(torch.from_numpy(pixels).to("cuda")).cpu().numpy()
    ours = Towers(program)

    def check(rows: np.ndarray) -> str:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        least = float((rows * expected[: len(rows)]).sum(1).min())
        return "" if least >= 0.999 else f"void: a cosine of {least:.5f}"

    for precision in precisions:
        kind = KINDS[precision]
        typed = copy.deepcopy(vision).to(kind).eval()
        for batch in (1, 8, 32):
            torch.compiler.reset()
            compiled = torch.compile(typed, mode="reduce-overhead", dynamic=False)
            part = np.ascontiguousarray(pixels[:batch])
            routes = ["graph_" + precision, "cuda_" + precision] if precision != "fp32" else ["cuda_fp32"]
            people: dict[str, Participant] = {
                f"ours, {route}": (lambda route=route, batch=batch: ours.image(folder, route, file, batch)) for route in routes
            }
            people["transformers"] = torch_participant(typed, part, kind)
            people["torch.compile with CUDA graphs"] = torch_participant(compiled, part, kind)
            print(f"\n{shape}, {precision}, {batch} pictures")
            for line in rounds(people, count, check):
                print("  " + line, flush=True)
    ours.process.stdin.close()
    ours.process.wait()
    return vision


def segments(segment: str, folder: pathlib.Path, vision: Vision, count: int) -> None:
    """The first picture of a segment to the scores of 20 labels."""
    import cv2
    import PIL.Image

    import vidloom as vl

    half = vision.to(torch.float16)
    processor = transformers.CLIPImageProcessor()

    def usual() -> tuple[float, np.ndarray]:
        start = time.perf_counter()
        film = cv2.VideoCapture(segment)
        _, picture = film.read()
        film.release()
        image = PIL.Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        with torch.inference_mode():
            rows = half(processor(images=image, return_tensors="pt")["pixel_values"].to("cuda", torch.float16)).float().cpu()
        return time.perf_counter() - start, rows.numpy()

    def ours(analyzer: vl.Analyzer) -> Participant:
        def once() -> tuple[float, np.ndarray]:
            start = time.perf_counter()
            (frame,) = analyzer.analyze(segment, max_frames=1)
            return time.perf_counter() - start, frame["brands"].embedding.reshape(1, -1)

        return once

    def analyzer(device: str) -> vl.Analyzer:
        return vl.Analyzer({"brands": vl.clip(folder, labels=LABELS, embedding=True, device=device, max_wait=0, min_confidence=0)})

    with analyzer("cuda") as gpu, analyzer("cpu") as cpu:
        people = {"ours on the GPU": ours(gpu), "ours on the CPU": ours(cpu), "OpenCV, PIL, transformers in fp16 on the GPU": usual}
        expected = usual()[1]
        print(f"\n{segment}: first picture to scores of {len(LABELS)} labels")

        def check(rows: np.ndarray) -> str:
            cosine = float((rows * expected).sum())
            return "" if cosine > 0.98 else f"void: a cosine of {cosine:.5f}"

        for line in rounds(people, count, check):
            print("  " + line, flush=True)
        print("  " + ", ".join(one.health()["brands"]["precision"] for one in (gpu, cpu)))


def main() -> None:
    program, *rest = sys.argv[1:]
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "transformers", transformers.__version__, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        vision = towers(program, pathlib.Path(scratch), "ViT-B/32", ["fp16", "bf16", "fp32"], 40)
        if rest:
            segments(rest[0], pathlib.Path(scratch) / "ViT-B-32", vision, 40)
        del vision
        towers(program, pathlib.Path(scratch), "ViT-L/14", ["fp16"], 15)


if __name__ == "__main__":
    main()
