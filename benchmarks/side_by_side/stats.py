"""What is computed from the seconds of the rounds."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], fraction: float) -> float:
    """Linear between the neighbours. `values`: at least one."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(frozen=True)
class Ratio:
    """Median of paired ratios and the interval that holds it with 95 % confidence (percentile bootstrap over the pairs)."""

    median: float
    low: float
    high: float
    pairs: int


def paired_ratio(pairs: Sequence[tuple[float, float]], resamples: int = 2000, seed: int = 1) -> Ratio | None:
    """Of numerator / denominator, a pair a round. None where there are fewer than three pairs: no figure is better than a guess."""
    ratios = [numerator / denominator for numerator, denominator in pairs]
    if len(ratios) < 3:
        return None
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(resamples))
    return Ratio(statistics.median(ratios), percentile(medians, 0.025), percentile(medians, 0.975), len(ratios))


def undisturbed(before: float, after: float, best: float, foreign: float, seconds: float, cores: int) -> bool:
    """Whether one run counts. `before`, `after`, `best`: seconds of the calibration around it and at its best; `foreign`: CPU seconds other
    programs took meanwhile, as /proc/stat has them in hundredths."""
    return max(before, after) <= 1.05 * best and foreign <= 0.03 * seconds * cores + 0.02
