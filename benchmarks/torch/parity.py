"""CLIP at the sizes that people use, against the libraries they come from: OpenAI's four vision transformers with random weights, each
made and saved by transformers and by open_clip, with QuickGELU and GELU, in two seeds. Real pictures, real token ids.

parity.py TOWERS FILM... [--models NAME,...] prints for each model how far our embeddings of pictures and texts are from the library's
own, and for bf16 and int8 how near. TOWERS is build/bench/bin/vidloom_bench_towers; the Python is that of the peers:

    PYTHONPATH=benchmarks build/bench-venv/bin/python benchmarks/torch/parity.py build/bench/bin/vidloom_bench_towers vtest.avi box.mp4
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import torch

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
ROOT = pathlib.Path(__file__).resolve().parents[2]
from side_by_side import cuda_stubs  # noqa: E402
from side_by_side.random_clip import scramble  # noqa: E402
from side_by_side.worker import Worker, WorkerError  # noqa: E402

cuda_stubs.load(ROOT / "build/bench-venv/cuda_stubs")
import open_clip  # noqa: E402
import transformers  # noqa: E402

# name: (picture, patch), (width, layers, heads) of the picture's tower, of the texts', embedding
MODELS = {
    "ViT-B-32": ((224, 32), (768, 12, 12), (512, 12, 8), 512),
    "ViT-B-16": ((224, 16), (768, 12, 12), (512, 12, 8), 512),
    "ViT-L-14": ((224, 14), (1024, 24, 16), (768, 12, 12), 768),
    "ViT-L-14-336": ((336, 14), (1024, 24, 16), (768, 12, 12), 768),
}
PICTURES = 8
PROMPTS = [
    f"a photo of {what}" for what in ("a cat", "the Apple logo", "two people in the street", "a car, at night", "nothing", "Zürich — 東京")
]
PROMPTS += [
    "",
    "logo",
    "A VERY LARGE BOAT!!",
    "the product on a white table, seen from above, with its brand's name written in small letters below",
]


def pictures(films: list[str]) -> list[np.ndarray]:
    """Some of each film, far apart."""
    found: list[np.ndarray] = []
    for film in films:
        with av.open(film) as container:
            all_ = [frame.to_ndarray(format="rgb24") for place, frame in enumerate(container.decode(video=0)) if place % 20 == 0]
        wanted = PICTURES // len(films)
        found += [all_[i * len(all_) // wanted] for i in range(wanted)]
    return found


def of_transformers(name: str, gelu: str, seed: int, folder: pathlib.Path) -> tuple[Any, Any]:
    (size, patch), image, text, embedding = MODELS[name]

    def tower(numbers: tuple[int, int, int]) -> dict[str, Any]:
        width, layers, heads = numbers
        return {
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "hidden_act": gelu,
        }

    ends = {"bos_token_id": 49406, "eos_token_id": 49407}
    config = transformers.CLIPConfig(
        vision_config=tower(image) | {"image_size": size, "patch_size": patch}, text_config=tower(text) | ends, projection_dim=embedding
    )
    model = transformers.CLIPModel(config).eval()
    scramble(model, seed)
    model.save_pretrained(folder)

    def rows(found: Any) -> torch.Tensor:
        return getattr(found, "pooler_output", found)

    return lambda pixels: rows(model.get_image_features(pixel_values=pixels)), lambda ids: rows(model.get_text_features(input_ids=ids))


def of_open_clip(name: str, gelu: str, seed: int, folder: pathlib.Path) -> tuple[Any, Any]:
    full = name + ("-quickgelu" if gelu == "quick_gelu" else "")
    model = open_clip.create_model(full, pretrained=None).eval()
    scramble(model, seed)

    class NoTokenizer:
        def save_pretrained(self, _: Any) -> None:
            """Its vocabulary comes with the package and is not needed for numbers."""

    from open_clip.push_to_hf_hub import save_for_hf

    save_for_hf(model, NoTokenizer(), open_clip.get_model_config(full), str(folder), safe_serialization=True)
    ends_at = model.context_length
    return model.encode_image, lambda ids: model.encode_text(torch.nn.functional.pad(ids, (0, ends_at - ids.shape[1])))


def unit(rows: Any) -> np.ndarray:
    found = np.asarray(rows, np.float64)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def apart(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Least cosine and largest difference of embeddings of length 1."""
    return float(np.einsum("ij,ij->i", ours, theirs).min()), float(np.abs(ours - theirs).max())


def compare(towers: str, name: str, library: str, gelu: str, seed: int, photos: list[np.ndarray], ids: list[list[int]]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as where:
        folder = pathlib.Path(where)
        image_of, text_of = (of_transformers if library == "transformers" else of_open_clip)(name, gelu, seed, folder)
        (size, _), _, _, embedding = MODELS[name]
        prepare = transformers.CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
        pixels = prepare(photos, return_tensors="pt")["pixel_values"].contiguous()
        with torch.inference_mode():
            images = unit(image_of(pixels))
            texts = unit(torch.cat([text_of(torch.tensor([row])) for row in ids]))
        pixels.numpy().tofile(folder / "pixels.bin")
        worker = Worker([towers], os.sched_getaffinity(0), folder / "log", dict(os.environ))

        def ours(route: str) -> np.ndarray:
            work = {"model": folder, "pixels": folder / "pixels.bin", "batch": len(photos), "route": route}
            return unit(np.reshape(worker.ask("image", work)["values"], (len(photos), embedding)))

        def our_text(row: list[int]) -> np.ndarray:
            np.array(row, np.int64).tofile(folder / "ids.bin")
            return unit(worker.ask("texts", {"model": folder, "ids": folder / "ids.bin", "length": len(row)})["values"])

        try:
            for what, mine, theirs in (
                ("pictures", ours("packed"), images),
                ("texts", np.stack([our_text(row) for row in ids]), texts),
            ):
                cosine, most = apart(mine, theirs)
                yield f"{what} {cosine:.7f} {most:.1e}"
            between = images @ images.T
            yield f"pictures among each other {between[np.triu_indices(len(photos), 1)].max():.3f}"
            scores = images @ texts.T
            for route in ("packed_bf16", "packed_int8"):
                try:
                    mine = ours(route)
                except WorkerError as error:
                    yield f"{route} {error}"
                    continue
                same = (mine @ texts.T).argmax(1) == scores.argmax(1)
                yield f"{route} {apart(mine, images)[0]:.5f}, best text {same.sum()} of {len(photos)}"
        finally:
            worker.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="parity.py")
    parser.add_argument("towers", help="build/bench/bin/vidloom_bench_towers")
    parser.add_argument("films", nargs="+")
    parser.add_argument("--models", default=",".join(MODELS), help="some of them, with commas between (all: half an hour on two cores)")
    options = parser.parse_args()
    photos = pictures(options.films)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    ids = [row[: row.index(49407) + 1] for row in tokenizer(PROMPTS).tolist()]
    print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "open_clip": open_clip.__version__}))
    for name, gelu, seed, library in itertools.product(
        options.models.split(","), ("quick_gelu", "gelu"), (1, 2), ("transformers", "open_clip")
    ):
        print(
            f"{name} {library} {gelu} seed {seed}: " + "; ".join(compare(options.towers, name, library, gelu, seed, photos, ids)),
            flush=True,
        )


if __name__ == "__main__":
    main()
