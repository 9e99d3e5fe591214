"""Runs the tool ``vidloom_logo_candidates`` on sets that composites.py made, labels each find by the truth, fits evidence.cpp's logistics.

python fit.py TOOL SETS...          finds.json beside each set's truth.json, then tables and weights
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np


def write_pictures(path: Path, pictures) -> None:
    with path.open("wb") as file:
        for picture in pictures:
            h, w = picture.shape[:2]
            file.write(np.array([w, h], np.int32).tobytes() + np.ascontiguousarray(picture).tobytes())


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two convex quadrilaterals."""
    both, _ = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))
    total = cv2.contourArea(a.astype(np.float32)) + cv2.contourArea(b.astype(np.float32)) - both
    return float(both / total) if total > 0 else 0.0


def run(tool: str, folder: Path, method: str = "auto") -> None:
    references = sorted((folder / "references").glob("*.png"))
    pictures = []
    for file in references:
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        pictures.append(picture if picture.shape[2] == 4 else np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))
    write_pictures(folder / "references.raw", pictures)
    truth = json.loads((folder / "truth.json").read_text())
    rows = []
    for film, expected in truth.items():
        raw = folder / "frames.raw"
        gray = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", str(folder / f"{film}.mp4"), "-vf", "extractplanes=y", "-f", "rawvideo", "-"],
            check=True,
            capture_output=True,
        ).stdout
        frames = np.frombuffer(gray, np.uint8).reshape(-1, 576, 768)
        assert len(frames) == len(expected)
        write_pictures(raw, frames)
        done = subprocess.run([tool, method, str(folder / "references.raw"), str(raw)], check=True, capture_output=True, text=True)
        print(folder.name, film, done.stderr.strip().splitlines()[-1], file=sys.stderr)
        for line in done.stdout.splitlines():
            row = json.loads(line)
            row["film"], row["brand"] = film, references[row.pop("reference")].stem
            said = expected[row["frame"]]
            corners = np.array(row["corners"]).reshape(4, 2) + 0.5
            row["right"] = bool(said and said["brand"] == row["brand"] and overlap(corners, np.array(said["corners"])) > 0.5)
            if row["right"]:
                row["off"] = float(np.abs(corners - np.array(said["corners"])).max())
            rows.append(row)
        raw.unlink()
    (folder / "finds.json").write_text(json.dumps(rows))


NAMES = ("support", "direction", "ncc", "blocks", "agreeing", "uniform", "apart", "size", "inliers", "stretch", "contrast")


# What the confidence is made of; see confidence_of() in src/adapters/opencv/logos/evidence.cpp.
WEIGHED = ("support", "direction", "ncc", "blocks")


def logistic(x: np.ndarray, y: np.ndarray, ridge: float = 0.02) -> np.ndarray:
    """Weights, the constant last, by Newton's method; rights and wrongs weigh the same in sum."""
    x = np.hstack([x, np.ones((len(x), 1))])
    w = np.zeros(x.shape[1])
    weight = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -40, 40)))
        penalty = ridge * np.r_[np.ones(len(w) - 1), 0]
        gradient = x.T @ (weight * (p - y)) + penalty * w
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty + 1e-9)
        w -= np.linalg.solve(hessian, gradient)
    return w


def fit_weights(kind: str, right: list, wrong: list) -> None:
    rows = right + wrong
    x = np.array([[row[name] for name in WEIGHED] for row in rows])
    y = np.array([row["right"] for row in rows])
    w = logistic(x, y)
    z = x @ w[:-1] + w[-1]
    print(f"  weights of {', '.join(WEIGHED)}, constant: {np.round(w, 2).tolist()}")
    good, bad = z[y], np.sort(z[~y])[::-1]
    print(f"  wrong, strongest: {np.round(bad[:8], 2).tolist()}")
    for limit in (bad[0], bad[0] + 0.5, bad[0] + 1, bad[0] + 2):
        print(f"    from {limit:6.2f}: {np.mean(good > limit):.3f} of the right candidates")


def main() -> None:
    tool, *folders = sys.argv[1:]
    for folder in folders:
        if tool != "-":
            run(tool, Path(folder))
    for kind in ("flat", "textured"):
        truths, found = {}, []
        for folder in folders:
            truth = json.loads((Path(folder) / "truth.json").read_text())
            for film, rows in truth.items():
                for index, said in enumerate(rows):
                    if said and said["kind"] == kind:
                        truths[folder, film, index] = said
            found += [
                dict(row, folder=folder)
                for row in json.loads((Path(folder) / "finds.json").read_text())
                if row["brand"].startswith("tx-") == (kind == "textured")
            ]
        right = [row for row in found if row["right"]]
        wrong = [row for row in found if not row["right"]]
        if not found:
            continue
        answered = [row for row in found if row["confidence"] >= 0.5]
        alarms = [row for row in answered if not row["right"]]
        print(f"{kind}: {len(truths)} marks, {len(answered)} answers, {len(alarms)} of them wrong")
        print(f"  candidates: {len(right)} right, {len(wrong)} wrong")
        best = {(row["folder"], row["film"], row["frame"]) for row in answered if row["right"]}
        damages = sorted({said["damage"] for said in truths.values()})
        print("| longest side | angle | " + " | ".join(damages) + " | all |\n|---" * 1 + "|---" * (len(damages) + 2) + "|")
        for size in sorted({said["size"] for said in truths.values()}):
            for upright in (True, False):
                cells = []
                for damage in [*damages, None]:
                    cell = [
                        key
                        for key, said in truths.items()
                        if said["size"] == size and damage in (None, said["damage"]) and (abs(said["angle"]) <= 4) == upright
                    ]
                    cells.append(f"{sum(key in best for key in cell)}/{len(cell)}")
                print(f"| {size} | {'to 4' if upright else 'to 40'} | " + " | ".join(cells) + " |")
        for name, chosen in (
            ("60 pixels and more", [key for key, said in truths.items() if said["size"] >= 60]),
            ("60 pixels and more, upright", [key for key, said in truths.items() if said["size"] >= 60 and abs(said["angle"]) <= 4]),
            ("60 pixels and more, not hidden", [key for key, said in truths.items() if said["size"] >= 60 and said["damage"] != "hidden"]),
        ):
            print(f"  recall, {name}: {sum(key in best for key in chosen)} of {len(chosen)}")
        if not right or not wrong:
            continue
        for name in NAMES:
            good, bad = np.array([row[name] for row in right]), np.array([row[name] for row in wrong])
            spread = (np.percentile(good, 5), np.median(good), np.median(bad), np.percentile(bad, 99), bad.max())
            print("  {:10} right 5 % {:7.3f}  half {:7.3f}   wrong half {:7.3f}  99 % {:7.3f}  most {:7.3f}".format(name, *spread))
        fit_weights(kind, right, wrong)
        off = [row["off"] for row in right]
        print(f"  corners off: half {np.median(off):.2f}, 90 % {np.percentile(off, 90):.2f} pixels")


if __name__ == "__main__":
    main()
