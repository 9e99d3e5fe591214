"""What CLIP models of random weights need besides them, for the peers on the CPU and on a GPU: nothing but torch is imported."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import torch


class Vision(torch.nn.Module):
    """The picture tower of transformers' CLIPModel, to embeddings of length 1."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.vision, self.projection = model.vision_model, model.visual_projection

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        rows = self.projection(self.vision(pixel_values=pixels).pooler_output)
        return rows / rows.norm(dim=-1, keepdim=True)


def write_vocabulary(folder: pathlib.Path) -> None:
    """Single bytes under the ids that CLIP's vocabulary has for them, so that any text can be read."""
    bytes_ = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in bytes_] + [chr(256 + place) for place in range(256 - len(bytes_))]
    words = letters + [letter + "</w>" for letter in letters]
    ids = {word: place for place, word in enumerate(words)} | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")


def scramble(model: Any, seed: int) -> None:
    """Fills a CLIP of transformers or open_clip with numbers with which each weight matters: what they start with has no offsets, and
    answers nearly the same to all pictures."""
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name == "logit_scale":
                weight.fill_(math.log(100))
                continue
            weight.normal_(generator=chance)
            last = name.split(".")[-2] if "." in name else ""
            if "norm" in last or "layrnorm" in last or last.startswith("ln_"):
                weight.mul_(0.2).add_(1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                weight.mul_(0.1)
            elif "patch_embedding" in name or ("embedding" not in name and weight.dim() > 1):
                weight.div_(math.sqrt(weight.numel() / weight.shape[0]))
            else:
                weight.mul_(0.5)
