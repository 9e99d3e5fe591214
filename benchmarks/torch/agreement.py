"""How far CLIP's answers in few bits are from those in fp32, on pictures of films.

agreement.py MODEL FILM... prints for bf16, int8 and auto the cosines of embeddings with those in fp32, and how many pictures keep their
best label. Random weights give all pictures the same one, so it is told as well when each label's mean over all pictures is taken away
first: what is left is what pictures differ in, by little, and the test is the harder.
"""

from __future__ import annotations

import sys

import numpy as np

import vidloom as vl

LABELS = ["cat", "dog", "car", "house", "tree", "person", "street", "boat", "bird", "box", "phone", "chair", "window", "road", "crowd"]
LABELS += ["sky", "river", "horse", "train", "book"]


def answers(model: str, precision: str, frames: list[vl.Frame]) -> tuple[np.ndarray, np.ndarray, str]:
    """Embeddings and the cosines of all labels, a row a picture; and the precision that was used."""
    analysis = vl.clip(model, labels=LABELS, precision=precision, embedding=True, top_k=len(LABELS), min_confidence=0)
    embeddings, scores = [], []
    with vl.Analyzer({"clip": analysis}) as analyzer:
        for frame in frames:
            outcome = analyzer.analyze_frame(frame)["clip"]
            embeddings.append(outcome.embedding)
            found = {label.class_name: label.raw_score for label in outcome.labels}
            scores.append([found[label] for label in LABELS])
        used = analyzer.health()["clip"]["precision"]
    return np.array(embeddings), np.array(scores), used


def main() -> None:
    model, *films = sys.argv[1:]
    frames: list[vl.Frame] = []
    for film in films:
        frames += [frame for place, frame in enumerate(vl.open_source(film)) if place % 8 == 0]
    exact, wanted, _ = answers(model, "fp32", frames)
    mean = wanted.mean(0)
    apart = wanted - mean
    ordered = np.sort(apart, 1)
    ahead = np.median(ordered[:, -1] - ordered[:, -2])
    labels = len(np.unique(wanted.argmax(1))), len(np.unique(apart.argmax(1)))
    print(f"{len(frames)} pictures; best labels among them {labels[0]}, less means {labels[1]}, ahead of the next by {ahead:.2g} (median)")
    for precision in ("bf16", "int8", "auto"):
        found, scores, used = answers(model, precision, frames)
        cosines = np.einsum("ij,ij->i", found, exact)
        same = (scores.argmax(1) == wanted.argmax(1)).mean()
        lost = apart.max(1) - apart[np.arange(len(frames)), (scores - mean).argmax(1)]
        print(
            f"{precision} ({used}): cosine {cosines.min():.6f} or more; best label the same {same:.2%}, "
            f"less means {(lost == 0).mean():.2%}, where fp32 prefers its own by {lost.max():.2g} at most"
        )


if __name__ == "__main__":
    main()
