"""Intervals of means by drawing recordings again: frames of one recording are alike, and go together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from apu_losses.evaluation.frames import FloatArray

MeanOf = Literal["frames", "classes"]


class Interval(NamedTuple):
    """A mean with the bounds that the middle 95 % of the resampled means lie in.

    NaN bounds where there is nothing to draw: one cluster, or for a mean of classes no class with two.
    """

    mean: float
    low: float
    high: float


def mean_over(values: ArrayLike, groups: Sequence[str], of: MeanOf) -> float:
    """Return the mean over all frames, or the mean of the means of the classes; NaN of nothing.

    Args:
        values: ``(N,)``.
        groups: N classes.
        of: ``"frames"`` or ``"classes"``. The paper's column "Mean" is that of classes.
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return float("nan")
    if of == "frames":
        return float(array.mean())
    names = np.asarray(groups, dtype=object)
    return float(np.mean([array[names == name].mean() for name in dict.fromkeys(groups)]))


def bootstrap(
    values: ArrayLike,
    groups: Sequence[str],
    clusters: Sequence[str],
    *,
    of: MeanOf = "frames",
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean of the values of N frames with its 95 % interval.

    Whole clusters are drawn with replacement; for a mean of classes as many of each class as it has, so that
    none is lost. A class of a single cluster then adds nothing to the width of the interval.

    Args:
        values: ``(N,)`` one a frame.
        groups: N classes.
        clusters: N names of clusters, such as recordings.
        of: what the mean is over, see `mean_over`.
        resamples: how often to draw.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        ValueError: sequences of different lengths, an unknown ``of``, or fewer than one resample.

    Example:
        >>> bootstrap([1.0, 2.0, 3.0, 4.0], ["hug"] * 4, list("abcd"))
        Interval(mean=2.5, low=1.5, high=3.5)
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array) == len(groups) == len(clusters):
        raise ValueError(
            "values, groups and clusters must be equally long, "
            f"got {len(array)}, {len(groups)} and {len(clusters)}"
        )
    if of not in ("frames", "classes"):
        raise ValueError(f"of must be 'frames' or 'classes', got {of!r}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    own = mean_over(array, groups, of)
    strata = groups if of == "classes" else ["all"] * len(array)
    tables = _cluster_tables(array, strata, clusters)
    if all(len(table) < 2 for table in tables):
        return Interval(own, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    # sums and numbers of frames of each class in each draw: (classes, resamples)
    drawn = [table[rng.integers(0, len(table), (resamples, len(table)))].sum(1).T for table in tables]
    sums, counts = np.stack(drawn, 1)
    means = sums.sum(0) / counts.sum(0) if of == "frames" else (sums / counts).mean(0)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(own, float(low), float(high))


def _cluster_tables(array: FloatArray, groups: Sequence[str], clusters: Sequence[str]) -> list[FloatArray]:
    """Of each class ``(C, 2)``: sum and number of the values of each of its clusters."""
    strata: dict[str, dict[str, list[float]]] = {}
    for value, group, cluster in zip(array.tolist(), groups, clusters, strict=True):
        cell = strata.setdefault(group, {}).setdefault(cluster, [0.0, 0.0])
        cell[0] += value
        cell[1] += 1
    return [np.array(list(found.values())) for found in strata.values()]
