"""vidloom_clip.py FILM MODEL PRECISION: as somebody would write it, from the start of Python to the first picture's scores."""

import json
import sys

import vidloom as vl

film, model, precision = sys.argv[1:]
labels = [f"label {number}" for number in range(20)]
with vl.Analyzer({"brands": vl.clip(model, labels=labels, precision=precision, embedding=True, min_confidence=0)}) as analyzer:
    for frame in analyzer.analyze(film, max_frames=1):
        answer = {"time": frame.media_time, "embedding": frame["brands"].embedding.ravel().tolist()}
print(json.dumps(answer))
