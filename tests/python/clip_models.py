"""CLIP models with random weights in the layouts in which real ones come, and what transformers answers with them."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import sys
from typing import NamedTuple

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
torch = pytest.importorskip("torch", reason="torch is not installed: make test installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: make test installs it")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed: make test installs it")

import vidloom as vl  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
from side_by_side.random_clip import scramble  # noqa: E402

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
WORDS = "a photo of the logo cat dog apple google nike empty street without any".split()


class Shape(NamedTuple):
    """Of both towers; vocabulary 0: CLIP's own."""

    image_size: int
    patch: int
    image: tuple[int, int, int, int]  # width, layers, heads, hidden
    text: tuple[int, int, int, int]
    embedding: int
    activation: str
    vocabulary: int = 640
    context: int = 24


SHAPES = {
    "32/8": Shape(32, 8, (64, 2, 4, 128), (48, 2, 3, 192), 48, "quick_gelu"),
    "64/16 gelu": Shape(64, 16, (96, 2, 2, 200), (64, 1, 4, 100), 33, "gelu"),
    "48/16": Shape(48, 16, (80, 3, 5, 136), (80, 2, 5, 136), 7, "quick_gelu"),
    "56/14 gelu": Shape(56, 14, (128, 2, 2, 512), (128, 2, 2, 512), 64, "gelu"),
}
VIT_B_32 = Shape(224, 32, (768, 12, 12, 3072), (512, 12, 8, 2048), 512, "quick_gelu", 49408, 77)


def write_vocabulary(folder: pathlib.Path, size: int) -> None:
    """As openai/clip-vit-base-patch32 has it, with the merges that make WORDS."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]
    merges: dict[str, None] = {}
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges[f"{parts[0]} {parts[1]}"] = None
            parts[:2] = [parts[0] + parts[1]]
    # Up to the size, merges that no text of ours makes: pairs that begin with a byte beyond ASCII.
    rare = (f"{left} {right}" for left in letters[94:] for right in (*letters, *(letter + "</w>" for letter in letters)))
    merges |= dict.fromkeys(itertools.islice(rare, size - 2 - 512 - len(merges)))
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(tokens)) == size
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def open_clip_names(weights: dict) -> dict:
    """The same weights as open_clip's state dict of a vision transformer names and joins them."""
    made = {"logit_scale": weights["logit_scale"]}
    made["visual.proj"] = weights["visual_projection.weight"].T
    made["text_projection"] = weights["text_projection.weight"].T
    made["visual.conv1.weight"] = weights["vision_model.embeddings.patch_embedding.weight"]
    made["visual.class_embedding"] = weights["vision_model.embeddings.class_embedding"]
    made["visual.positional_embedding"] = weights["vision_model.embeddings.position_embedding.weight"]
    made["positional_embedding"] = weights["text_model.embeddings.position_embedding.weight"]
    made["token_embedding.weight"] = weights["text_model.embeddings.token_embedding.weight"]
    norms = {
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
        "ln_final": "text_model.final_layer_norm",
    }
    parts = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for ours, theirs in (("visual.", "vision_model."), ("", "text_model.")):
        for i in range(sum(name.startswith(theirs) and name.endswith("layer_norm1.bias") for name in weights)):
            layer, before = f"{theirs}encoder.layers.{i}.", f"{ours}transformer.resblocks.{i}."
            norms |= {before + mine: layer + name for mine, name in parts.items()}
            for end in ("weight", "bias"):
                joined = torch.cat([weights[f"{layer}self_attn.{part}_proj.{end}"] for part in "qkv"])
                made[f"{before}attn.in_proj_{end}"] = joined
    for ours, theirs in norms.items():
        made[ours + ".weight"], made[ours + ".bias"] = weights[theirs + ".weight"], weights[theirs + ".bias"]
    return {name: tensor.contiguous().clone() for name, tensor in made.items()}


class Model(NamedTuple):
    """A model on disk, and transformers' view of the same weights."""

    folder: pathlib.Path
    shape: Shape
    theirs: transformers.CLIPModel
    tokenizer: transformers.CLIPTokenizer

    def pixels(self, frame: vl.Frame) -> np.ndarray:
        return frame.tensor(self.shape.image_size, mean=MEAN, std=STD)

    def picture(self, pixels) -> np.ndarray:
        """L2-normalised embedding of one picture's (3, side, side) numbers."""
        with torch.inference_mode():
            row = self.theirs.visual_projection(self.theirs.vision_model(torch.as_tensor(np.asarray(pixels))[None]).pooler_output)[0]
        return torch.nn.functional.normalize(row, dim=0).numpy()

    def text(self, *sentences: str) -> np.ndarray:
        """L2-normalised mean of the sentences' embeddings."""
        rows = []
        with torch.inference_mode():
            for sentence in sentences:
                ids = self.tokenizer(sentence, truncation=True, max_length=self.shape.context, return_tensors="pt").input_ids
                row = self.theirs.text_projection(self.theirs.text_model(input_ids=ids).pooler_output)[0]
                rows.append(torch.nn.functional.normalize(row, dim=0))
        return torch.nn.functional.normalize(torch.stack(rows).mean(0), dim=0).numpy()


def make_model(folder: pathlib.Path, shape: Shape = SHAPES["32/8"], seed: int = 0, layout: str = "hugging face") -> Model:
    folder.mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder, shape.vocabulary)
    last = shape.vocabulary - 1

    def tower(numbers: tuple[int, int, int, int]) -> dict:
        return dict(zip(("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"), numbers, strict=True))

    image = tower(shape.image) | {"image_size": shape.image_size, "patch_size": shape.patch, "hidden_act": shape.activation}
    text = tower(shape.text) | {"vocab_size": shape.vocabulary, "max_position_embeddings": shape.context, "hidden_act": shape.activation}
    text |= {"bos_token_id": last - 1, "eos_token_id": last}
    model = transformers.CLIPModel(transformers.CLIPConfig(vision_config=image, text_config=text, projection_dim=shape.embedding)).eval()
    scramble(model, seed)
    if layout == "hugging face":
        model.save_pretrained(folder)
    else:
        config = {
            "embed_dim": shape.embedding,
            "quick_gelu": shape.activation == "quick_gelu",
            "vision_cfg": {
                "image_size": shape.image_size,
                "patch_size": shape.patch,
                "width": shape.image[0],
                "layers": shape.image[1],
                "head_width": shape.image[0] // shape.image[2],
                "mlp_ratio": shape.image[3] / shape.image[0],
            },
            "text_cfg": {
                "context_length": shape.context,
                "vocab_size": shape.vocabulary,
                "width": shape.text[0],
                "layers": shape.text[1],
                "heads": shape.text[2],
                "mlp_ratio": shape.text[3] / shape.text[0],
            },
        }
        process = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": process}))
        safetensors.save_file(open_clip_names(model.state_dict()), folder / "open_clip_model.safetensors")
    return Model(folder, shape, model, transformers.CLIPTokenizer.from_pretrained(folder))


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Shades and blocks: neither noise, which a smaller picture averages away, nor one colour."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin(x * chance.uniform(3, 20) / width + y * chance.uniform(3, 20) / height + chance.uniform(0, 6)) for _ in range(3)]
    made = np.stack(waves, -1) * 90 + 128
    for _ in range(6):
        left, top = int(chance.integers(0, max(1, width - 8))), int(chance.integers(0, max(1, height - 8)))
        made[top : top + height // 4, left : left + width // 4] = chance.integers(0, 256, 3)
    return np.clip(made, 0, 255).astype(np.uint8)
