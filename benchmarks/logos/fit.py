"""Runs the tool ``vidloom_logo_candidates`` on sets that composites.py made, labels each find by the truth, fits evidence.cpp's logistics.

python fit.py TOOL SETS...          finds.json beside each set's truth.json, then tables and weights

A set whose finds.json is newer than the tool is not run again, so that several may be made side by side, one process a set, and
tabled together.
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
    finds = folder / "finds.json"
    if finds.exists() and finds.stat().st_mtime > Path(tool).stat().st_mtime:
        return
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
    finds.write_text(json.dumps(rows))


def answers(rows: list[dict]) -> list[dict]:
    """What the adapter answers of the finds of one picture: the most confident of those that overlap, see best_of() in logos.cpp."""
    kept: list[tuple[dict, np.ndarray]] = []
    for row in sorted(rows, key=lambda one: -one["confidence"]):
        if row["confidence"] < 0.5:
            break
        corners = np.array(row["corners"]).reshape(4, 2)
        box = np.clip(np.r_[corners.min(0), corners.max(0)], 0, [768, 576, 768, 576])
        size = np.maximum(box[2:] - box[:2], 1e-3)
        for _, other in kept:
            shared = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
            if shared.min() > 0 and shared.prod() > 0.5 * min(size.prod(), (other[2:] - other[:2]).prod()):
                break
        else:
            kept.append((row, box))
    return [row for row, _ in kept]


NAMES = ("support", "exact", "direction", "ncc", "low", "middle", "high", "size", "inliers", "stretch")


def nearness(share: float) -> float:
    return -float(np.log(1.02 - min(1.0, max(0.0, share))))


# What the confidence is made of; see confidence_of() in src/adapters/opencv/logos/evidence.cpp.
COMMON = {
    "small": lambda row: max(0.0, float(np.log2(80 / max(1.0, row["size"])))),
    "plain": lambda row: row["plain"],
    "stretch": lambda row: float(np.log(row["stretch"])),
}
WEIGHED = {
    "flat": {
        "direction": lambda row: row["seen_direction"],
        "low": lambda row: nearness(row["seen_low"]),
        "middle": lambda row: nearness(row["seen_middle"]),
        "high": lambda row: nearness(row["seen_high"]),
        "whole_low": lambda row: nearness(row["low"]),
        "exact": lambda row: nearness(row["exact"]),
        "bends": lambda row: float(np.log(0.05 + row["bends"])),
        **COMMON,
    },
    "textured": {
        "direction": lambda row: row["direction"],
        "low": lambda row: nearness(row["low"]),
        "middle": lambda row: nearness(row["middle"]),
        "high": lambda row: nearness(row["high"]),
        **COMMON,
    },
}


RIDGE = {"flat": 10.0, "textured": 1.0}


def logistic(x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """Weights, the constant last, by Newton's method; rights and wrongs weigh the same in sum. The ridge is per spread of a measure."""
    middle, spread = x.mean(0), x.std(0) + 1e-9
    x = np.hstack([(x - middle) / spread, np.ones((len(x), 1))])
    w = np.zeros(x.shape[1])
    weight = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    for _ in range(20):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -40, 40)))
        penalty = ridge * np.r_[np.ones(len(w) - 1), 0]
        gradient = x.T @ (weight * (p - y)) + penalty * w
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty + 1e-9)
        w -= np.linalg.solve(hessian, gradient)
    return np.r_[w[:-1] / spread, w[-1] - w[:-1] @ (middle / spread)]


def fit_weights(kind: str, right: list, wrong: list) -> None:
    rows = right + wrong
    x = np.array([[measure(row) for measure in WEIGHED[kind].values()] for row in rows])
    y = np.array([row["right"] for row in rows])
    w = logistic(x, y, RIDGE[kind])
    z = x @ w[:-1] + w[-1]
    print(f"  weights of {', '.join(WEIGHED[kind])}, constant: {np.round(w, 2).tolist()}")
    good, bad = z[y], np.sort(z[~y])[::-1]
    print(f"  wrong, strongest: {np.round(bad[:8], 2).tolist()}")
    for limit in (bad[0], bad[0] + 0.5, bad[0] + 1, bad[0] + 2):
        print(f"    from {limit:6.2f}: {np.mean(good > limit):.3f} of the right candidates")


def table(truths: dict, best: set) -> None:
    damages = sorted({said["damage"] for said in truths.values()})
    print("| longest side | angle | " + " | ".join(damages) + " | all |\n" + "|---" * (len(damages) + 3) + "|")
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


def main() -> None:
    tool, *folders = sys.argv[1:]
    truths: dict[str, dict] = {"flat": {}, "textured": {}}
    found: dict[str, list] = {"flat": [], "textured": []}
    answered: dict[str, list] = {"flat": [], "textured": []}
    without: set = set()
    for folder in folders:
        if tool != "-":
            run(tool, Path(folder))
        truth = json.loads((Path(folder) / "truth.json").read_text())
        for film, rows in truth.items():
            for index, said in enumerate(rows):
                if said:
                    truths[said["kind"]][folder, film, index] = said
                else:
                    without.add((folder, film, index))
        pictures: dict[tuple, list] = {}
        for row in json.loads((Path(folder) / "finds.json").read_text()):
            row["key"] = (folder, row["film"], row["frame"])
            row["kind"] = "textured" if row["brand"].startswith("tx-") else "flat"
            found[row["kind"]].append(row)
            pictures.setdefault(row["key"], []).append(row)
        for rows in pictures.values():
            for row in answers(rows):
                answered[row["kind"]].append(row)
    alarms = [row for rows in answered.values() for row in rows if not row["right"]]
    total = sum(map(len, answered.values()))
    marked, precision = sum(map(len, truths.values())), 1 - len(alarms) / max(1, total)
    print(f"{marked} marks, {len(without)} pictures without; {total} answers, precision {precision:.4f}")
    print(f"wrong answers: {len(alarms)}, on pictures without a mark {sum(row['key'] in without for row in alarms)}")
    for row in sorted(alarms, key=lambda one: -one["confidence"]):
        print("  {} {} {} {} of {:.0f} pixels, {:.4f}".format(*row["key"], row["brand"], row["size"], row["confidence"]))
    for kind in ("flat", "textured"):
        marks = truths[kind]
        right = [row for row in found[kind] if row["right"]]
        wrong = [row for row in found[kind] if not row["right"]]
        best = {row["key"] for row in answered[kind] if row["right"]}
        print(f"{kind}: {len(marks)} marks; candidates: {len(right)} right, {len(wrong)} wrong")
        table(marks, best)
        for name, chosen in (
            ("60 pixels and more", [key for key, said in marks.items() if said["size"] >= 60]),
            ("60 pixels and more, upright", [key for key, said in marks.items() if said["size"] >= 60 and abs(said["angle"]) <= 4]),
            ("60 pixels and more, not hidden", [key for key, said in marks.items() if said["size"] >= 60 and said["damage"] != "hidden"]),
        ):
            reached = sum(key in best for key in chosen)
            print(f"  recall, {name}: {reached} of {len(chosen)}, {reached / max(1, len(chosen)):.3f}")
        if not right or not wrong:
            continue
        for name in NAMES:
            good, bad = np.array([row[name] for row in right]), np.array([row[name] for row in wrong])
            spread = (np.percentile(good, 5), np.median(good), np.median(bad), np.percentile(bad, 99), bad.max())
            print("  {:10} right 5 % {:7.3f}  half {:7.3f}   wrong half {:7.3f}  99 % {:7.3f}  most {:7.3f}".format(name, *spread))
        fit_weights(kind, right, wrong)
        off = [row["off"] for row in answered[kind] if row["right"]]
        print(f"  corners off: half {np.median(off):.2f}, 90 % {np.percentile(off, 90):.2f} pixels")


if __name__ == "__main__":
    main()
