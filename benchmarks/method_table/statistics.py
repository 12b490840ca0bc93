"""Means with intervals, bootstrapped by scene, and paired differences of two methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from method_table.scores import SceneScores

Array = NDArray[np.float64]
RESAMPLES = 4000


class Interval(NamedTuple):
    """A mean and the 95 % interval of its bootstrap; all NaN where there is nothing to average.

    ``scenes`` is the number of scenes that have a value.
    """

    mean: float
    low: float
    high: float
    scenes: int

    @property
    def separate(self) -> bool:
        """The interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def bootstrap(values: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Mean over scenes; values that are NaN (nothing to measure in that scene) are left out.

    Percentile bootstrap (Efron 1979): scenes are drawn with replacement.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[~np.isnan(array)]
    if not len(array):
        return Interval(np.nan, np.nan, np.nan, 0)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(len(array), size=(resamples, len(array)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(array.mean()), float(low), float(high), len(array))


def column(scores: Sequence[SceneScores], name: str, keep: Sequence[bool] | None = None) -> Array:
    """One score of every scene, in order; NaN where the scene is not kept."""
    values = np.array([float(getattr(s, name)) for s in scores])
    return values if keep is None else np.where(np.asarray(keep, dtype=bool), values, np.nan)


def mean_of(scores: Sequence[SceneScores], name: str, keep: Sequence[bool] | None = None) -> Interval:
    """Mean of one score over the (kept) scenes."""
    return bootstrap(column(scores, name, keep))


def difference(
    one: Sequence[SceneScores], other: Sequence[SceneScores], name: str, keep: Sequence[bool] | None = None
) -> Interval:
    """Mean of ``one`` minus ``other``, scene by scene.

    Raises:
        ValueError: scores of other scenes, or in another order.
    """
    _same_scenes(one, other)
    return bootstrap(column(one, name, keep) - column(other, name, keep))


def reduction(
    one: Sequence[SceneScores],
    other: Sequence[SceneScores],
    name: str,
    keep: Sequence[bool] | None = None,
    *,
    by_type: bool = False,
) -> Interval:
    """By what share the mean of ``one`` lies under that of ``other``; scenes are drawn together for both.

    Args:
        by_type: draw whole types of interaction, not scenes: what can be said of types that were not drawn.
            Scenes of a type are alike, so these intervals are wider.
    """
    _same_scenes(one, other)
    a, b = column(one, name, keep), column(other, name, keep)
    valid = ~(np.isnan(a) | np.isnan(b))
    if not valid.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    types = np.array([s.interaction for s in one])[valid] if by_type else None
    a, b = a[valid], b[valid]
    drawn = _times_drawn(len(a), types)
    low, high = np.quantile(1 - (drawn @ a) / (drawn @ b), [0.025, 0.975])
    return Interval(float(1 - a.mean() / b.mean()), float(low), float(high), len(a))


def _times_drawn(count: int, types: NDArray[np.str_] | None) -> NDArray[np.int64]:
    """``(RESAMPLES, count)`` how often each scene is drawn with replacement, alone or with its type."""
    rng = np.random.default_rng(0)
    group = np.arange(count) if types is None else np.unique(types, return_inverse=True)[1]
    groups = int(group.max()) + 1
    chosen = rng.integers(groups, size=(RESAMPLES, groups))
    times = np.zeros((RESAMPLES, groups), dtype=np.int64)
    np.add.at(times, (np.arange(RESAMPLES)[:, None], chosen), 1)
    return times[:, group]


def _same_scenes(one: Sequence[SceneScores], other: Sequence[SceneScores]) -> None:
    if [s.scene for s in one] != [s.scene for s in other]:
        raise ValueError("the two methods have scores of different scenes; pair them scene by scene")
