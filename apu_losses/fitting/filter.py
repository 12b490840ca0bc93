"""Which fits are kept (paper section 3.1: pairs whose reprojection error is small for both people)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apu_losses.fitting.evaluate import SceneMetrics
from apu_losses.fitting.progress import StageReport


@dataclass(frozen=True)
class Verdict:
    """Whether a fit is kept, and the reason in words, with the figure that decided."""

    kept: bool
    reason: str


def judge(stages: Sequence[StageReport], metrics: SceneMetrics, limit_pixels: float) -> Verdict:
    """The filter of the paper: every person's mean keypoint distance must stay under the limit.

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
