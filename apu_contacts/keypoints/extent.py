"""Where a person is in the image, and how large."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints.seen import SEEN, is_seen
from apu_contacts.keypoints.types import Keypoints2D


def keypoint_box(keypoints: Keypoints2D, min_confidence: float = SEEN) -> NDArray[np.float64] | None:
    """``(4,)`` x0, y0, x1, y1 in pixels of the box around all joints that were seen (`is_seen`).

    None where no joint is.
    """
    seen = keypoints.xy[is_seen(keypoints.confidence, min_confidence)]
    return np.concatenate([seen.min(0), seen.max(0)]) if len(seen) else None


def person_size(keypoints: Keypoints2D, min_confidence: float = SEEN) -> float:
    """Diagonal of `keypoint_box` in pixels; 0 where no joint is.

    The diagonal changes little with the pose's direction. A person of whom little is seen has a small box;
    take the larger of two people's sizes, or of two detections' of one person, where that matters.
    """
    box = keypoint_box(keypoints, min_confidence)
    return 0.0 if box is None else float(np.hypot(*(box[2:] - box[:2])))
