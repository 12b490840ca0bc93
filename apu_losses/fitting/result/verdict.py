"""Which fits are kept (paper section 3.1: pairs whose reprojection error is small for both people)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apu_losses.fitting.result.measures import SceneMetrics
from apu_losses.fitting.scene.types import Scene
from apu_losses.fitting.solve.progress import StageReport

HELD = 0.05
"""Metres within which a contact counts as held after a fit; chosen on the synthetic development types."""


@dataclass(frozen=True)
class Verdict:
    """Whether a fit is kept, and the reason in words, with the figure that decided."""

    kept: bool
    reason: str


def judge(stages: Sequence[StageReport], metrics: SceneMetrics, limit_pixels: float) -> Verdict:
    """Return the filter of the paper: every person's mean keypoint distance must stay under the limit.

    The paper's "error < 20" is read as the mean distance in pixels after scaling each person's keypoint box
    to 512, over joints with confidence above 0.2. A fit that failed, or a person of whom no keypoint can be
    counted, is never kept.
    """
    for stage in stages:
        if stage.failed:
            return Verdict(False, stage.reason)
    errors = metrics.keypoint_error
    unknown = [i for i, error in enumerate(errors) if not error >= 0]
    if unknown:
        return Verdict(
            False, f"person {unknown[0]} has no keypoint with confidence above 0.2 to be judged by"
        )
    worst = max(range(len(errors)), key=lambda i: errors[i])
    said = f"mean keypoint error of person {worst} is {errors[worst]:.1f} px at 512 scale"
    if errors[worst] < limit_pixels:
        return Verdict(True, f"{said}, under the limit of {limit_pixels:g}")
    return Verdict(False, f"{said}, not under the limit of {limit_pixels:g}")


def held_share(scene: Scene, metrics: SceneMetrics, metres: float = HELD) -> float:
    """Share of the weight of a scene's part contacts that ends within ``metres``, 0 to 1.

    A robust contact term lets go of contacts that do not go with the keypoints, with the priors or with each
    other. What it let go of says that an answer is doubtful, which keypoint errors cannot: they are small
    with and without right contacts. Half of the weight is a useful limit (docs/measurements/method_table.md).
    Contacts of which it is open who is who are measured in the nearer order.

    Args:
        scene: what was fitted; its contact maps have the weights.
        metrics: `FitResult.after`.
        metres: distance that counts as touching.

    Returns:
        NaN for a scene whose contacts have no weight, or that has none.

    Raises:
        ValueError: metrics of another scene, with another number of contacts.
    """
    weights = [group.weight for edge in scene.contacts for group in edge.contacts.groups()]
    if len(weights) != len(metrics.part_distance):
        raise ValueError(
            f"metrics has {len(metrics.part_distance)} part contacts where scene {scene.name!r} has "
            f"{len(weights)}; are these the metrics of that scene's fit?"
        )
    held = sum(w for w, d in zip(weights, metrics.part_distance, strict=True) if d <= metres)
    return held / sum(weights) if sum(weights) > 0 else float("nan")
