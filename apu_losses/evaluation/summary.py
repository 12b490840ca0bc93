"""From records of frames to means with intervals, on a method's own frames and on those that all solved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apu_losses.evaluation.bootstrap import Interval, MeanOf, bootstrap
from apu_losses.evaluation.measures import FrameRecord, MethodRecords

METRICS: Mapping[str, str] = {
    "joint_pa": "both people, one similarity (PA-MPJPE), mm",
    "joint_scale": "both people, translation and scale, mm",
    "joint_translation": "both people, translation, mm",
    "joint_none": "both people, as they lie, mm",
    "joint_pa_other_order": "both people, one similarity, in the other order, mm",
    "person_pa": "each person, own similarity (PA-MPJPE), mm",
    "person_pa_a": "first person, own similarity, mm",
    "person_pa_b": "second person, own similarity, mm",
    "person_scale": "each person, translation and scale, mm",
    "person_translation": "each person, translation, mm",
    "person_hips": "each person, hips on hips (MPJPE), mm",
    "person_none": "each person, as they lie, mm",
    "contact_mm": "distance of annotated contacts, mm",
    "contact_mm_other_order": "the same in the other order, mm",
    "pcc_5": "annotated contacts within 5 cm, %",
    "pcc_10": "annotated contacts within 10 cm, %",
    "pcc_15": "annotated contacts within 15 cm, %",
    "pcc_20": "annotated contacts within 20 cm, %",
    "pcc": "the same, mean over 0, 5, ..., 95 cm, %",
    "depth_mm": "deepest penetration, mm",
    "inside": "vertices inside the other body",
    "precision": "binary contact at 13 mm: precision",
    "recall": "binary contact at 13 mm: recall",
    "f1": "binary contact at 13 mm: F1 (about 0.01 for all)",
}
"""The metrics by name: what each is, in the order in which they are printed."""

HIGHER_IS_BETTER = frozenset(("pcc_5", "pcc_10", "pcc_15", "pcc_20", "pcc", "precision", "recall", "f1"))


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn, see `bootstrap`."""

    resamples: int = 2000
    seed: int = 0


def common_keys(methods: Sequence[MethodRecords]) -> frozenset[str]:
    """Return the frames that every method solved.

    Raises:
        ValueError: no method.
    """
    if not methods:
        raise ValueError("methods must hold at least one method")
    return frozenset.intersection(*(frozenset(record.key for record in each.records) for each in methods))


def chosen(
    method: MethodRecords, metric: str, keys: Collection[str] | None = None, group: str | None = None
) -> list[FrameRecord]:
    """Return the records that have a metric, of some frames and of one class, where these are given."""
    return [
        record
        for record in method.records
        if metric in record.metrics
        and (keys is None or record.key in keys)
        and (group is None or record.group == group)
    ]


def mean_of(
    method: MethodRecords,
    metric: str,
    *,
    keys: Collection[str] | None = None,
    group: str | None = None,
    of: MeanOf = "frames",
    resampling: Resampling | None = None,
) -> tuple[Interval, int]:
    """Return the mean of a metric with its interval, and of how many frames it is.

    Args:
        method: the records.
        metric: one of `METRICS`.
        keys: of these frames only.
        group: of this class only.
        of: mean over frames, or over the means of the classes.
        resampling: how intervals are drawn.
    """
    draws = resampling or Resampling()
    records = chosen(method, metric, keys, group)
    values = [record.metrics[metric] for record in records]
    groups, clusters = [r.group for r in records], [r.cluster for r in records]
    interval = bootstrap(values, groups, clusters, of=of, resamples=draws.resamples, seed=draws.seed)
    return interval, len(records)


@dataclass(frozen=True)
class Comparison:
    """Two methods on the frames that both solved.

    Args:
        difference: of the second from the first, with its interval: the same draws for both.
        better: share of the frames on which the second is better; ties count half.
        frames: how many.
    """

    difference: Interval
    better: float
    frames: int


def compare(
    first: MethodRecords, second: MethodRecords, metric: str, resampling: Resampling | None = None
) -> Comparison:
    """Compare two methods frame by frame.

    Args:
        first, second: the records.
        metric: one of `METRICS`.
        resampling: how the interval is drawn.
    """
    draws = resampling or Resampling()
    ones = {record.key: record for record in chosen(first, metric)}
    others = {record.key: record for record in chosen(second, metric)}
    keys = [key for key in ones if key in others]
    difference = np.array([others[key].metrics[metric] - ones[key].metrics[metric] for key in keys])
    interval = bootstrap(
        difference,
        [ones[key].group for key in keys],
        [ones[key].cluster for key in keys],
        resamples=draws.resamples,
        seed=draws.seed,
    )
    gain = difference if metric in HIGHER_IS_BETTER else -difference
    better = float(((gain > 0) + 0.5 * (gain == 0)).mean()) if len(keys) else float("nan")
    return Comparison(interval, better, len(keys))
