"""The 2D keypoints of one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints.skeletons import SKELETONS


@dataclass(frozen=True, eq=False)
class Keypoints2D:
    """2D keypoints of one person, in pixels of the full image.

    Args:
        skeleton: name of the joint order, a key of `SKELETONS`: ``"coco17"``, ``"body25"``,
            ``"coco_wholebody133"`` and others. Another name is kept as it is; conversions refuse it.
        xy: ``(J, 2)`` pixel coordinates, origin at the image's top-left corner, x right, y down.
        confidence: ``(J,)`` in [0, 1]; 0 means that the joint was not detected.

    Raises:
        ValueError: on shapes that do not agree with each other or with the skeleton, values that are not
            finite where the confidence is above 0, or confidences outside [0, 1].

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D
        >>> Keypoints2D("coco17", np.zeros((17, 2)), np.ones(17)).valid.sum().item()
        17
    """

    skeleton: str
    xy: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def __post_init__(self) -> None:
        xy = np.asarray(self.xy, dtype=np.float64)
        confidence = np.asarray(self.confidence, dtype=np.float64)
        if xy.ndim != 2 or xy.shape[1] != 2:
            raise ValueError(f"xy must have shape (J, 2), got {xy.shape}")
        known = SKELETONS.get(self.skeleton)
        if known is not None and len(xy) != len(known):
            raise ValueError(
                f"keypoints of the skeleton {self.skeleton!r} must have {len(known)} joints, got {len(xy)}"
            )
        if confidence.shape != (len(xy),):
            raise ValueError(f"confidence must have shape ({len(xy)},), got {confidence.shape}")
        if (
            not np.isfinite(confidence).all()
            or confidence.min(initial=0) < 0
            or confidence.max(initial=0) > 1
        ):
            raise ValueError(
                f"confidence must lie in [0, 1], got {np.nanmin(confidence)} to {np.nanmax(confidence)}; "
                "are these logits, or percentages?"
            )
        if not np.isfinite(xy[confidence > 0]).all():
            raise ValueError("xy must be finite wherever confidence is above 0")
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "confidence", confidence)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """``(J,)`` joints that were detected at all."""
        valid: NDArray[np.bool_] = self.confidence > 0
        return valid
