"""``python -m vidloom.convert CHECKPOINT... -o FOLDER``: PyTorch's pickled weights as safetensors, which Vidloom reads.

A pickle is a program: reading one runs what its author put into it. Vidloom itself reads safetensors only, which hold nothing but
numbers. Here a pickle is read once by torch's restricted reader (``weights_only=True``), which refuses everything that is no tensor.
(Results of ``vidloom analyze`` are turned into other formats by ``vidloom convert``.)
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import pickle
import re
import shutil
import sys
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigError, Error, ModelError, NotBuiltError, OutputError

__all__ = ["convert", "main"]

#: What belongs to a model besides its weights, and lies beside them: configuration, tokenizer, licence.
COMPANIONS = """config.json open_clip_config.json preprocessor_config.json processor_config.json tokenizer.json tokenizer_config.json
    special_tokens_map.json vocab.json merges.txt vocab.txt spiece.model bpe_simple_vocab_16e6.txt.gz LICENSE LICENSE.txt LICENSE.md
    README.md""".split()

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})$")
_EXIT_CODES = {"config": 2, "not_built": 4, "model": 4, "output": 5}


def convert(checkpoints: Iterable[str | os.PathLike[str]], folder: str | os.PathLike[str], *, overwrite: bool = False) -> list[Path]:
    """Writes the tensors of each checkpoint to a .safetensors file in ``folder``, and copies what lies beside it (COMPANIONS).

    checkpoints: pickled state dicts (.bin, .pt, .pth, .ckpt) of transformers, open_clip or of one's own, the shards of one model, or
    folders that hold them. A training checkpoint's ``state_dict`` is taken, and the prefixes that DistributedDataParallel and
    torch.compile put in front of names (``module.``, ``_orig_mod.``) are taken off. Numbers stay as they are, dtype included.

    Returns the files written. Raises ConfigError on arguments that do not fit together, NotBuiltError where torch or safetensors is
    missing, ModelError naming the file and the reason where a checkpoint cannot be read safely, OutputError where a file exists or
    cannot be written.
    """
    torch, save_file = _libraries()
    found = [path for checkpoint in checkpoints for path in _checkpoints_at(Path(checkpoint))]
    if not found:
        raise ConfigError("no checkpoint is given; name one or more, such as pytorch_model.bin")
    if len({path.parent.resolve() for path in found}) > 1:
        raise ConfigError("the checkpoints lie in several folders; convert one model at a time, as each has its own config.json")
    _check_shards(found)
    target = Path(folder)
    # Names that do not depend on what is in the file are checked before gigabytes are read.
    for path in found:
        if (name := _known_name(path.stem)) is not None:
            _refuse_existing(target / name, overwrite)
    copies = _companions(found[0].parent, target, overwrite)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {target}: {error.strerror}") from error

    written: list[Path] = []
    try:
        _write(torch, save_file, found, target, written, overwrite)
        for source, copy in copies:
            try:
                shutil.copyfile(source, copy)
            except OSError as error:
                raise OutputError(f"cannot write {copy}: {error.strerror}") from error
            written.append(copy)
    except BaseException:
        for path in written:  # part of a model is no model
            path.unlink(missing_ok=True)
        raise
    return written


def _write(torch: Any, save_file: Any, found: list[Path], target: Path, written: list[Path], overwrite: bool) -> None:
    """Adds to ``written`` what it wrote: the weights, and of shards their index."""
    weight_map: dict[str, str] = {}
    total = 0
    for path in found:
        tensors = _tensors(_loaded(torch, path), torch, path)
        name = _known_name(path.stem) or _name_by_content(path.stem, tensors)
        if target / name in written:
            raise ConfigError(f"{path} would be written to {name} as well as the checkpoint before it; convert one model at a time")
        _refuse_existing(target / name, overwrite)
        for key, tensor in tensors.items():
            if key in weight_map:
                raise ModelError(f"{path}: the tensor {key} is in {weight_map[key]} already")
            weight_map[key] = name
            total += tensor.numel() * tensor.element_size()
        _save(save_file, tensors, target / name)
        written.append(target / name)
    if _SHARD.match(found[0].stem):
        written.append(_write_index(target, written, weight_map, total, overwrite))


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
    except ImportError as error:
        raise NotBuiltError("reading a PyTorch checkpoint needs torch: pip install torch") from error
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < (2, 6):
        raise NotBuiltError(
            f"torch {torch.__version__} cannot read checkpoints safely: a file can run code despite weights_only=True "
            "(CVE-2025-32434); pip install --upgrade 'torch>=2.6'"
        )
    try:
        from safetensors.torch import save_file
    except ImportError as error:
        raise NotBuiltError("writing safetensors needs the package safetensors: pip install safetensors") from error
    return torch, save_file


# ── which files ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _checkpoints_at(path: Path) -> list[Path]:
    if path.is_dir():
        for name in ("pytorch_model.bin", "open_clip_pytorch_model.bin"):
            if (path / name).is_file():
                return [path / name]
        shards = sorted(path.glob("pytorch_model-*-of-*.bin"))
        if not shards:
            raise ModelError(f"{path} holds no pytorch_model.bin, open_clip_pytorch_model.bin or shards of one; name the checkpoint itself")
        return shards
    if not path.exists():
        raise ModelError(f"{path} does not exist")
    if path.suffix == ".safetensors":
        raise ConfigError(f"{path} is a safetensors file already; Vidloom reads it as it is")
    if path.suffix == ".jsonl":
        raise ConfigError(f"{path} looks like results; those are turned into other formats by: vidloom convert {path} --to csv")
    return [path]


def _check_shards(paths: list[Path]) -> None:
    shards = [match for path in paths if (match := _SHARD.match(path.stem))]
    if not shards:
        return
    whole, count = shards[0][1], int(shards[0][3])
    if len(shards) < len(paths) or any((shard[1], int(shard[3])) != (whole, count) for shard in shards):
        raise ConfigError("shards of one model and other checkpoints are given together; convert one model at a time")
    missing = sorted(set(range(1, count + 1)) - {int(shard[2]) for shard in shards})
    if missing:
        lacks = ", ".join(f"{whole}-{i:05}-of-{count:05}{paths[0].suffix}" for i in missing)
        raise ModelError(f"{paths[0].parent} is one model in {count} parts, of which these are not given: {lacks}")


def _known_name(stem: str) -> str | None:
    """The name the weights go by in Hugging Face's and open_clip's folders; None where the checkpoint's own name does not say."""
    if stem in ("open_clip_pytorch_model", "open_clip_model"):
        return "open_clip_model.safetensors"
    if shard := _SHARD.match(stem):
        return f"{shard[1].replace('pytorch_model', 'model')}-{shard[2]}-of-{shard[3]}.safetensors"
    return "model.safetensors" if stem in ("pytorch_model", "model") else None


def _name_by_content(stem: str, tensors: Mapping[str, Any]) -> str:
    if any(key.startswith("vision_model.") for key in tensors):
        return "model.safetensors"
    if any(key.startswith("visual.") for key in tensors):
        return "open_clip_model.safetensors"
    return f"{stem}.safetensors"


def _companions(source: Path, target: Path, overwrite: bool) -> list[tuple[Path, Path]]:
    """What is to be copied where. A file that is there already, and the same, is left alone."""
    copies = []
    for name in COMPANIONS:
        if not (source / name).is_file():
            continue
        if (target / name).exists():
            if (target / name).samefile(source / name) or filecmp.cmp(source / name, target / name, shallow=False):
                continue
            _refuse_existing(target / name, overwrite)
        copies.append((source / name, target / name))
    return copies


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another folder, or say overwrite (-y)")


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _loaded(torch: Any, path: Path) -> Any:
    """What the restricted reader makes of it. torch's own messages advise to switch the restriction off: they are not passed on."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    try:
        mapped = zipfile.is_zipfile(path)  # else the older format, which cannot be mapped
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise ModelError(f"{path} is no PyTorch checkpoint, or a damaged one") from error
        raise ModelError(
            f"{path} is refused: besides tensors it holds {named[1]}, and making one runs code; ask whoever made it for a state dict "
            "(torch.save(model.state_dict(), FILE)) or for safetensors"
        ) from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise ModelError(
                f"{path} is refused: it is a TorchScript program, not weights; take the same model's safetensors or state dict, such as "
                "the hub's openai/clip-vit-base-patch32"
            ) from error
        raise ModelError(f"{path} is no PyTorch checkpoint, or a damaged one ({type(error).__name__})") from error


def _tensors(loaded: Any, torch: Any, path: Path) -> dict[str, Any]:
    """Name -> tensor, each with memory of its own."""
    for key in ("state_dict", "model_state_dict", "model", "module"):  # what training programs save
        if isinstance(loaded, Mapping) and isinstance(inner := loaded.get(key), Mapping):
            loaded = inner
            break
    if not isinstance(loaded, Mapping):
        raise ModelError(f"{path} holds a {type(loaded).__name__}, not a state dict of names and tensors")
    names = [str(key) for key, value in loaded.items() if isinstance(value, torch.Tensor)]
    if not names:
        raise ModelError(f"{path} holds no tensors: its keys are {', '.join(map(str, list(loaded)[:5])) or 'none'}")
    cut = 0
    while prefix := next((p for p in ("module.", "_orig_mod.") if all(name.startswith(p, cut) for name in names)), ""):
        cut += len(prefix)
    tensors: dict[str, Any] = {}
    memory: set[int] = set()
    for key, value in loaded.items():
        if not isinstance(value, torch.Tensor):
            continue
        if value.layout != torch.strided or value.is_quantized or value.is_complex():
            kind = "quantized" if value.is_quantized else "complex" if value.is_complex() else str(value.layout).removeprefix("torch.")
            raise ModelError(f"{path}: the tensor {key} is {kind}; safetensors of dense real numbers can be written")
        own = value.detach().contiguous()
        place = own.untyped_storage().data_ptr()
        if place in memory and own.numel() > 0:  # tied weights: safetensors knows no shared memory
            own = own.clone()
        memory.add(place)
        tensors[str(key)[cut:]] = own
    return tensors


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _save(save_file: Any, tensors: dict[str, Any], path: Path) -> None:
    """The file is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, str(part), metadata={"format": "pt"})
        part.replace(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    except Exception as error:  # SafetensorError, whose class is named differently from version to version
        raise OutputError(f"cannot write {path}: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _write_index(target: Path, written: list[Path], weight_map: dict[str, str], total: int, overwrite: bool) -> Path:
    whole = _SHARD.match(written[0].stem)
    path = target / f"{whole[1] if whole else 'model'}.safetensors.index.json"
    _refuse_existing(path, overwrite)
    try:
        path.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns its exit code: 0, 2 usage, 4 a checkpoint that cannot be read or a package that is missing, 5 output."""
    parser = argparse.ArgumentParser(
        prog="python -m vidloom.convert",
        description="Turns PyTorch checkpoints (.bin, .pt) into safetensors, which Vidloom reads, and copies config and tokenizer files.",
        epilog="Results are turned into other formats by `vidloom convert RESULTS.jsonl --to FORMAT`.",
    )
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="a checkpoint, all shards of one, or the model's folder")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="where to; it is made where it does not exist")
    parser.add_argument("-y", "--overwrite", action="store_true", help="existing files are replaced")
    given = parser.parse_args(arguments)
    try:
        written = convert(given.checkpoints, given.output, overwrite=given.overwrite)
    except Error as error:
        print(f"vidloom: {error}", file=sys.stderr)
        return _EXIT_CODES.get(error.code, 70)
    except KeyboardInterrupt:
        return 130
    for path in written:
        print(path)
    names = {path.name for path in written} | {path.name for path in Path(given.output).iterdir()}
    if not names & {"config.json", "open_clip_config.json"}:
        print(
            f"vidloom: no config.json or open_clip_config.json lay beside the checkpoint; put the model's into {given.output}, as it says "
            "how the weights are to be read",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
