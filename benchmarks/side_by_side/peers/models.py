"""CLIP ViT-B/32 by transformers, torch.compile, open_clip, ONNX Runtime and OpenVINO, and the whole way from a segment to scores as people
assemble it.

`python -m side_by_side.peers.models make FOLDER FILM` writes the model (random weights of a fixed seed: none can be shipped), pixels of
32 pictures of the film, token ids, and what transformers makes of them; `export FOLDER` its picture tower as ONNX.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
import torch

from .. import cuda_stubs
from ..peer import Reply, serve
from ..random_clip import Vision, scramble, write_vocabulary
from . import tensors

LENGTH = 12


def _clip() -> Any:
    cuda_stubs.load(pathlib.Path(os.environ["SIDE_BY_SIDE_STUBS"]))
    import transformers

    return transformers


@cache
def _model(folder: str) -> Any:
    return _clip().CLIPModel.from_pretrained(folder).eval()


@cache
def _vision(folder: str) -> Vision:
    return Vision(_model(folder)).eval()


@cache
def _onnx_file(folder: str, batch: int, precision: str = "f32") -> str:
    path = f"{folder}/vision_{batch}.onnx" if precision != "int8" else f"{folder}/vision_{batch}_int8.onnx"
    if not os.path.exists(path):
        if precision == "int8":
            from onnxruntime.quantization import quantize_dynamic

            quantize_dynamic(_onnx_file(folder, batch), path + ".part")
        else:
            torch.onnx.export(_vision(folder), (torch.zeros(batch, 3, 224, 224),), path + ".part", dynamo=False, input_names=["pixels"])
        os.rename(path + ".part", path)
    return path


@cache
def _onnx_session(folder: str, batch: int, threads: int, precision: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(_onnx_file(folder, batch, precision), options, providers=["CPUExecutionProvider"])


def _openvino_int8(core: Any, folder: str, batch: int) -> Any:
    """By NNCF's recipe for transformers, statically: calibrated on the very pictures that are measured."""
    import openvino

    path = f"{folder}/vision_{batch}_nncf.xml"
    if not os.path.exists(path):
        import nncf

        pixels = np.fromfile(f"{folder}/pixels.bin", np.float32).reshape(-1, batch, 3, 224, 224)
        data = nncf.Dataset(list(pixels), lambda one: {0: one})
        made = nncf.quantize(
            core.read_model(_onnx_file(folder, batch)), data, subset_size=len(pixels), model_type=nncf.ModelType.TRANSFORMER
        )
        openvino.save_model(made, path, compress_to_fp16=False)
    return core.read_model(path)


@cache
def _openvino_request(folder: str, batch: int, threads: int, precision: str = "f32", number: int = 0) -> Any:
    """`number` tells requests of equal settings apart: each is one thread's."""
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    model = _openvino_int8(core, folder, batch) if precision == "int8" else core.read_model(_onnx_file(folder, batch))
    return core.compile_model(model, "CPU", settings).create_infer_request()


def _image(request: dict[str, str], reply: Reply, run: Any) -> None:
    batch = int(request["batch"])
    pixels = np.fromfile(request["pixels"], np.float32, batch * 3 * 224 * 224).reshape(batch, 3, 224, 224)
    torch.set_num_threads(int(request["threads"]))
    rows: list[Any] = []
    with torch.inference_mode():
        reply.timed(lambda: rows.append(run(pixels)), batch)
        if isinstance(rows[0], torch.Tensor):
            rows[0] = rows[0].float().numpy()
    for _ in range(batch):
        reply.picture(0.0)
    reply.values.extend(float(value) for value in np.asarray(rows[0]).reshape(-1))


@cache
def _typed_vision(folder: str, precision: str) -> Vision:
    return _vision(folder) if precision == "f32" else _vision(folder).to(torch.bfloat16)


@cache
def _compiled(folder: str, precision: str) -> Any:
    import torch._inductor.config as settings

    settings.freezing = True  # constants become part of the program: what makes it faster on CPUs
    vision = _typed_vision(folder, precision)
    for parameter in vision.parameters():
        parameter.requires_grad_(False)
    return torch.compile(vision)


def transformers(request: dict[str, str], reply: Reply) -> None:
    vision = _typed_vision(request["model"], request["precision"])
    kind = next(vision.parameters()).dtype
    _image(request, reply, lambda pixels: vision(torch.from_numpy(pixels).to(kind)))


def compiled(request: dict[str, str], reply: Reply) -> None:
    vision = _compiled(request["model"], request["precision"])
    kind = torch.float32 if request["precision"] == "f32" else torch.bfloat16
    _image(request, reply, lambda pixels: vision(torch.from_numpy(pixels).to(kind)))


@cache
def _open_clip(folder: str) -> Any:
    """open_clip's own picture tower with the same weights."""
    _clip()  # torchvision, which it imports
    import open_clip as library

    given = _model(folder).state_dict()
    tower = library.create_model("ViT-B-32-quickgelu", pretrained=None).visual.eval()
    before = "vision_model."
    names = {
        "class_embedding": given[before + "embeddings.class_embedding"],
        "positional_embedding": given[before + "embeddings.position_embedding.weight"],
        "proj": given["visual_projection.weight"].T.contiguous(),
        "conv1.weight": given[before + "embeddings.patch_embedding.weight"],
    }
    for end in ("weight", "bias"):
        names[f"ln_pre.{end}"] = given[f"{before}pre_layrnorm.{end}"]
        names[f"ln_post.{end}"] = given[f"{before}post_layernorm.{end}"]
        for layer in range(12):
            theirs, ours = f"{before}encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
            names[f"{ours}attn.in_proj_{end}"] = torch.cat([given[f"{theirs}self_attn.{part}_proj.{end}"] for part in "qkv"])
            names[f"{ours}attn.out_proj.{end}"] = given[f"{theirs}self_attn.out_proj.{end}"]
            for a, b in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
                names[f"{ours}{a}.{end}"] = given[f"{theirs}{b}.{end}"]
    tower.load_state_dict(names)
    return tower


def open_clip(request: dict[str, str], reply: Reply) -> None:
    tower = _open_clip(request["model"])
    _image(request, reply, lambda pixels: torch.nn.functional.normalize(tower(torch.from_numpy(pixels)), dim=-1))


def onnxruntime(request: dict[str, str], reply: Reply) -> None:
    session = _onnx_session(request["model"], int(request["batch"]), int(request["threads"]), request["precision"])
    _image(request, reply, lambda pixels: session.run(None, {"pixels": pixels})[0])


def openvino(request: dict[str, str], reply: Reply) -> None:
    infer = _openvino_request(request["model"], int(request["batch"]), int(request["threads"]), request["precision"])
    _image(request, reply, lambda pixels: next(iter(infer.infer({0: pixels}).values())))


def _features(model: Any, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    found = model.get_text_features(input_ids=ids, attention_mask=mask)
    rows: torch.Tensor = getattr(found, "pooler_output", found)
    return rows / rows.norm(dim=-1, keepdim=True)


def texts(request: dict[str, str], reply: Reply) -> None:
    model = _model(request["model"])
    ids = torch.from_numpy(np.fromfile(request["ids"], np.int64).reshape(-1, LENGTH))
    mask = None
    if "padded" in request:
        mask = torch.zeros(len(ids), int(request["padded"]), dtype=torch.int64)
        mask[:, :LENGTH] = 1
        ids = torch.nn.functional.pad(ids, (0, mask.shape[1] - LENGTH), value=49407)
    rows: list[Any] = []
    with torch.inference_mode():
        reply.timed(lambda: rows.append(_features(model, ids, mask)))
    for _ in range(len(ids)):
        reply.picture(0.0)
    reply.values.extend(float(value) for value in rows[0][0])


@cache
def _labels(folder: str) -> torch.Tensor:
    ids = torch.from_numpy(np.fromfile(f"{folder}/ids.bin", np.int64).reshape(-1, LENGTH))
    with torch.inference_mode():
        return _features(_model(folder), ids)


@cache
def _expected(folder: str) -> np.ndarray:
    return np.asarray(json.loads(pathlib.Path(folder, "expected.json").read_text(encoding="utf-8"))["segment"], np.float32)


def _answer(request: dict[str, str], reply: Reply, time: float, embedding: Any) -> None:
    row = torch.as_tensor(np.asarray(embedding))[0]
    (100 * (_labels(request["model"]) @ row)).softmax(0).topk(5)
    reply.picture(time)
    reply.values.append(float(row @ torch.from_numpy(_expected(request["model"]))))


def assembled(request: dict[str, str], reply: Reply) -> None:
    """As an expert would: nothing is decoded but the first keyframe, and each part is the fastest there is. Of many segments
    each core takes one at a time, by itself."""
    count, threads = int(request["count"]), int(request["threads"])
    callers = 1 if count == 1 else threads
    torch.set_num_threads(threads // callers)
    requests = [_openvino_request(request["model"], 1, threads // callers, request["precision"], number) for number in range(callers)]
    _labels(request["model"])

    def one(infer: Any) -> None:
        with av.open(request["file"]) as container, torch.inference_mode():
            stream = container.streams.video[0]
            packet = next(packet for packet in container.demux(stream) if packet.is_keyframe)
            frame = [*packet.decode(), *stream.codec_context.decode(None)][0]
            pixels = tensors.torchvision_v2(tensors.rgb(frame))
            embedding = next(iter(infer.infer({0: pixels[None].numpy()}).values()))
            _answer(request, reply, float(frame.pts * stream.time_base), embedding)

    if callers == 1:
        reply.timed(lambda: [one(requests[0]) for _ in range(count)])
        if "memory" in request:
            reply.resident()
        return
    with ThreadPoolExecutor(callers) as pool:
        shares = [range(number, count, callers) for number in range(callers)]
        reply.timed(lambda: list(pool.map(lambda infer, share: [one(infer) for _ in share], requests, shares)))


def usual(request: dict[str, str], reply: Reply) -> None:
    """As it is mostly written, with the model and the texts kept."""
    torch.set_num_threads(int(request["threads"]))
    vision = _vision(request["model"])
    _labels(request["model"])
    with av.open(request["file"]) as container:
        start = float(container.streams.video[0].start_time * container.streams.video[0].time_base)

    def work() -> None:
        for _ in range(int(request["count"])):
            film = cv2.VideoCapture(request["file"])
            _, picture = film.read()
            pixels = tensors.hf_pil(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            film.release()
            _answer(request, reply, start, vision(torch.from_numpy(np.asarray(pixels))[None]))

    with torch.inference_mode():
        reply.timed(work)
    if "memory" in request:
        reply.resident()


def make(folder: pathlib.Path, film: str) -> None:
    library = _clip()
    unfinished = folder.with_name("unfinished_" + folder.name)
    model = library.CLIPModel(library.CLIPConfig()).eval()
    scramble(model, 5)
    model.save_pretrained(unfinished)
    write_vocabulary(unfinished)
    container = av.open(film)
    pictures = [
        frame.to_ndarray(format="rgb24", interpolation=tensors.ACCURATE)
        for place, frame in zip(range(32 * 5), container.decode(video=0), strict=False)
        if place % 5 == 0
    ]
    pixels = np.stack([np.asarray(tensors.hf_pil(picture), np.float32) for picture in pictures])
    pixels.tofile(unfinished / "pixels.bin")
    with torch.inference_mode():
        images = Vision(model)(torch.from_numpy(pixels))
        for seed in range(5, 505):
            rng = np.random.default_rng(seed)
            tokens = np.concatenate([np.full((20, 1), 49406), rng.integers(0, 49406, (20, LENGTH - 2)), np.full((20, 1), 49407)], 1)
            texts = _features(model, torch.from_numpy(tokens))
            best = (images @ texts.T).topk(2).values
            if (best[:, 0] - best[:, 1]).min() > 0.005:  # labels that the pictures keep apart, or few bits would be judged by ties
                break
        else:
            raise RuntimeError(f"{film}: no 20 labels that its pictures keep apart")
    tokens.astype(np.int64).tofile(unfinished / "ids.bin")
    expected = {"images": images.tolist(), "texts": texts.tolist(), "segment": images[0].tolist()}
    (unfinished / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    unfinished.rename(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(pathlib.Path(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["export"]:
        _onnx_file(sys.argv[2], 1)
    else:
        serve(
            {
                "transformers": transformers,
                "compiled": compiled,
                "open_clip": open_clip,
                "onnxruntime": onnxruntime,
                "openvino": openvino,
                "texts": texts,
                "assembled": assembled,
                "usual": usual,
            }
        )
