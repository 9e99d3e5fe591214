"""Lets the CUDA build of torchvision load beside a CPU build of torch.

PyPI has torchvision only as a CUDA build; its CPU kernels (the antialiased resize of uint8 pictures is torch's own) need none of the
CUDA symbols it links. Each symbol that is missing becomes a function that gives 0, in small libraries under the names the loader asks for.
"""

from __future__ import annotations

import ctypes
import importlib.util
import pathlib
import subprocess

MISSING = ("libc10_cuda.so", "libtorch_cuda.so")


def _symbols(library: pathlib.Path, which: str) -> set[str]:
    text = subprocess.run(["nm", "-D", f"--{which}-only", str(library)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in text.splitlines()}


def _folder(package: str) -> pathlib.Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"{package} is not installed")
    return pathlib.Path(spec.origin).parent


def build(into: pathlib.Path) -> None:
    """Writes the libraries into `into`. Needs `nm` and `gcc`."""
    into.mkdir(parents=True, exist_ok=True)
    torch = _folder("torch") / "lib"
    wanted: set[str] = set()
    for library in _folder("torchvision").glob("*.so"):
        wanted |= _symbols(library, "undefined")
    for library in [*torch.glob("libc10.so"), *torch.glob("libtorch*.so")]:
        wanted -= _symbols(library, "defined")
    cuda = sorted(name for name in wanted if "cuda" in name.lower())
    assembly = [
        "  .text",
        *(f"  .globl {name}\n{name}:" for name in cuda),
        "  xorl %eax, %eax",
        "  ret",
        '  .section .note.GNU-stack,"",@progbits',
    ]
    source = into / "stubs.s"
    source.write_text("\n".join(assembly) + "\n", encoding="ascii")
    for name in MISSING:
        subprocess.run(["gcc", "-shared", "-nostdlib", "-o", str(into / name), f"-Wl,-soname,{name}", str(source)], check=True)


def load(folder: pathlib.Path) -> None:
    """Maps the libraries; `import torchvision` works afterwards. Does nothing where torch brings the real ones."""
    import torch

    if torch.version.cuda is not None or not (folder / MISSING[0]).exists():
        return
    for name in MISSING:
        ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
