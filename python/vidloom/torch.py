"""Frames as torch tensors. Imports torch when called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import NotBuiltError

if TYPE_CHECKING:
    from ._vidloom import Frame


def tensor(
    frame: Frame,
    size: int | tuple[int, int],
    *,
    fit: str = "centre_crop",
    mean: tuple[float, float, float] = (0, 0, 0),
    std: tuple[float, float, float] = (1, 1, 1),
    dtype: str = "float32",
    device: str = "cpu",
) -> Any:
    """``Frame.tensor`` as a ``torch.Tensor`` (3, height, width) on ``device``."""
    try:
        import torch
    except ImportError as error:
        raise NotBuiltError("vl.torch needs PyTorch: pip install torch") from error
    array = frame.tensor(size, fit=fit, mean=mean, std=std, dtype=dtype)
    result = torch.from_numpy(array)
    return (result.view(torch.bfloat16) if dtype == "bfloat16" else result).to(device)
