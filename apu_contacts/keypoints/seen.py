"""Which keypoints were seen: the one threshold on confidence that everything here begins with."""

from __future__ import annotations

from typing import Any

SEEN = 0.2
"""Confidence from which a keypoint counts as seen, as in the paper's filter. What is merely above 0 was
detected (`Keypoints2D.valid`): losses weigh it by its confidence, and a person's box holds it."""


def is_seen(confidence: Any, min_confidence: float = SEEN) -> Any:
    """Which keypoints count, given their confidences in any shape, as an array or a tensor: bool likewise.

    A joint that was not detected, of confidence 0, is never seen, whatever ``min_confidence`` is.

    Args:
        confidence: in [0, 1].
        min_confidence: keypoints from this confidence on count; 0 for all that were detected.

    Example:
        >>> import numpy as np
        >>> is_seen(np.array([0.0, 0.1, 0.2, 0.9])).tolist()
        [False, False, True, True]
        >>> is_seen(np.array([0.0, 0.1, 0.2, 0.9]), min_confidence=0).tolist()
        [False, True, True, True]
    """
    return (confidence > 0) & (confidence >= min_confidence)
