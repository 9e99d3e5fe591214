"""transformers_clip.py FILM MODEL STUBS: as it is mostly written, from the start of Python to the first picture's scores. Token ids are
at hand."""

import json
import pathlib
import sys

import av
import cv2
import numpy as np
import torch
from PIL import Image
from side_by_side import cuda_stubs

film, folder, stubs = sys.argv[1:]
cuda_stubs.load(pathlib.Path(stubs))
from transformers import CLIPImageProcessor, CLIPModel  # noqa: E402

model, processor = CLIPModel.from_pretrained(folder).eval(), CLIPImageProcessor()
ids = torch.from_numpy(np.fromfile(f"{folder}/ids.bin", np.int64).reshape(20, -1))
_, picture = cv2.VideoCapture(film).read()
with av.open(film) as container:  # OpenCV counts from zero
    stream = container.streams.video[0]
    time = float(stream.start_time * stream.time_base)
pixels = processor(Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)), return_tensors="pt")
with torch.inference_mode():
    found = model(input_ids=ids, **pixels)
    found.logits_per_image.softmax(1).topk(5)
print(json.dumps({"time": time, "embedding": found.image_embeds[0].tolist()}))
