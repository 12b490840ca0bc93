"""Scores of detectors as confidences in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.sources.errors import SourceFormatError

CLIP_BELOW, CLIP_ABOVE = -0.05, 1.2
"""Scores between these are clipped to [0, 1]: heat-map peaks overshoot a little (OpenPose writes -8e-5,
top-down detectors up to about 1.1)."""
MAX_OVERSHOOT = 3.0
"""A peak that stands out of its heat map, as COCO-WholeBody's own results have at a foot (2.1): certain."""
MAX_OUTLIERS = 0.1
"""Share of joints that may overshoot further than `CLIP_ABOVE`; where more do, the scale is another."""


def confidences(scores: ArrayLike, where: str, *, score_scale: float = 1.0) -> NDArray[np.float64]:
    """Scores divided by ``score_scale`` and clipped to [0, 1]; a joint without a score, NaN, gets 0.

    A few joints that overshoot (a tenth, up to 3) are certain; so are a few of any height no joints at all:
    they get 0.

    Raises:
        SourceFormatError: if the scores are of another scale; the likely one is named.
        ValueError: if ``score_scale`` is not positive.
    """
    if not (np.isfinite(score_scale) and score_scale > 0):
        raise ValueError(f"score_scale must be positive, got {score_scale}")
    with np.errstate(over="ignore"):
        values = np.asarray(scores, dtype=np.float64) / score_scale
    if values.size and not np.isfinite(values).any():
        raise SourceFormatError(f"{where}: confidences are not finite, none of them")
    values = np.where(np.isfinite(values), values, 0.0)
    odd = (values < CLIP_BELOW) | (values > CLIP_ABOVE)
    if odd.sum() > MAX_OUTLIERS * max(int((values != 0).sum()), 1):
        raise SourceFormatError(
            f"{where}: confidences must lie in [0, 1], got {values.min():g} to {values.max():g}: "
            f"{_likely(values)}"
        )
    clipped: NDArray[np.float64] = np.where(values > MAX_OVERSHOOT, 0.0, values).clip(0, 1)
    return clipped


def _likely(values: NDArray[np.float64]) -> str:
    if values.max() == 2 and set(np.unique(values)) <= {0.0, 1.0, 2.0}:
        return "visibilities 0, 1, 2 of an annotation file, not a detector's results?"
    if values.min() < CLIP_BELOW:
        return "logits, or x, y and confidence in another order?"
    if values.max() > 20:
        return "percentages (score_scale=100), or x, y and confidence in another order?"
    return f"SimCC scores of RTMPose (give score_scale, about {np.quantile(values, 0.95):.2g})?"
