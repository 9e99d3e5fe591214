"""Frames as torch tensors. Imports torch when called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _vidloom
from .errors import ConfigError, ForkedProcessError, NotBuiltError

if TYPE_CHECKING:
    from ._vidloom import Frame

__all__ = ["tensor", "tensor_and_map"]


def tensor(
    frame: Frame | Iterable[Frame],
    size: int | tuple[int, int],
    *,
    fit: str = "centre_crop",
    mean: tuple[float, float, float] = (0, 0, 0),
    std: tuple[float, float, float] = (1, 1, 1),
    dtype: Any = "float32",
    device: Any = "cpu",
    mode: str = "exact",
    filter: str = "bicubic",
) -> Any:
    """Model input as a ``torch.Tensor``: (3, height, width) of one frame, (N, 3, height, width) of several.

    The numbers are those of ``Frame.tensor``, R, G, B: 0..1 less ``mean`` over ``std``, uint8 0..255. On the CPU they are written from
    the decoder's planes straight into the tensor. On a CUDA device the planes go up in one asynchronous copy and the rest is done
    there, on the current stream, without waiting for it; values are within 1/255 of the CPU's.

    size: (width, height) or one number. fit: ``"centre_crop"``, ``"letterbox"`` or ``"stretch"``. dtype: ``"float32"``, ``"float16"``,
    ``"bfloat16"``, ``"uint8"`` or the torch.dtype of that name. device: anything that ``torch.device`` takes. mode and filter: as in
    ``Frame.tensor``.

    Raises ConfigError naming a wrong argument, NotBuiltError where torch, CUDA or the component torch is missing, ForkedProcessError
    for a CUDA device in a child of a process that used one.
    """
    return _made(frame, size, (fit, tuple(mean), tuple(std), str(dtype).removeprefix("torch."), mode, filter), device)[0]


def tensor_and_map(
    frame: Frame | Iterable[Frame],
    size: int | tuple[int, int],
    *,
    fit: str = "centre_crop",
    mean: tuple[float, float, float] = (0, 0, 0),
    std: tuple[float, float, float] = (1, 1, 1),
    dtype: Any = "float32",
    device: Any = "cpu",
    mode: str = "exact",
    filter: str = "bicubic",
) -> tuple[Any, Any]:
    """``tensor()`` and, as a float32 tensor on the CPU, ``display_from_tensor``: (2, 3) of one frame, (N, 2, 3) of several.

    ``display_from_tensor @ [x, y, 1]`` is the display pixel of pixel (x, y) of the tensor: boxes that a model found find back with it.
    """
    return _made(frame, size, (fit, tuple(mean), tuple(std), str(dtype).removeprefix("torch."), mode, filter), device)


def _made(frame: Any, size: Any, spec: tuple[Any, ...], device: Any) -> tuple[Any, Any]:
    try:
        import torch
    except ImportError as error:
        raise NotBuiltError("vl.torch needs PyTorch: pip install torch") from error
    alone = isinstance(frame, _vidloom.Frame)
    frames = [frame] if alone else list(frame)
    for index, one in enumerate(frames):
        if not isinstance(one, _vidloom.Frame):
            raise ConfigError(f"frame {index} is of type {type(one).__name__}; use vidloom.Frame, or Frame.from_array(picture)")
    _vidloom.write_tensors([], 0, 0, size, *spec, -1)  # checks them, before anything is made of them
    width, height = (size, size) if isinstance(size, int) else size

    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device is {device!r}; use 'cpu', 'cuda' or 'cuda:N'") from error
    ordinal = -1
    if where.type == "cuda":
        if getattr(torch.cuda, "_is_in_bad_fork", bool)():  # torch would say so too, as a RuntimeError
            raise ForkedProcessError(f"device is '{where}', but CUDA was used before fork(); use it only in the worker processes")
        if not torch.cuda.is_available():
            raise NotBuiltError(f"device is '{where}', but torch {torch.__version__} sees no CUDA device here; use device='cpu'")
        ordinal = torch.cuda.current_device() if where.index is None else where.index
        if ordinal >= torch.cuda.device_count():
            raise ConfigError(f"device is '{where}'; there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    made_on = torch.device("cuda", ordinal) if ordinal >= 0 else torch.device("cpu")
    batch = torch.empty((len(frames), 3, height, width), dtype=getattr(torch, spec[3]), device=made_on)
    maps = _vidloom.write_tensors(frames, batch.data_ptr(), batch.numel() * batch.element_size(), size, *spec, ordinal)
    if where.type not in ("cpu", "cuda"):
        batch = batch.to(where)  # mps, xpu, ...: made by the CPU
    display_from_tensor = torch.tensor(maps, dtype=torch.float32).reshape(-1, 2, 3)
    return (batch[0], display_from_tensor[0]) if alone else (batch, display_from_tensor)
