"""Keypoints of one skeleton in the order of another, and of the mirrored image."""

from __future__ import annotations

import numpy as np

from apu_contacts.keypoints.skeletons import skeleton
from apu_contacts.keypoints.types import Keypoints2D

# Joints that a skeleton without them can supply as the midpoint of two others.
_MIDPOINTS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}


def convert_keypoints(keypoints: Keypoints2D, target: str) -> Keypoints2D:
    """Return the same keypoints in the joint order of the skeleton ``target``.

    A joint that the source lacks gets position (0, 0) and confidence 0; ``neck`` and ``mid_hip``, which the
    COCO skeletons lack, are the mean of the two shoulders and of the two hips with the lower of the two
    confidences, and are missing where either side is. A neck that the source skeleton has but did not detect
    stays missing.

    Args:
        keypoints: of any skeleton of `SKELETONS`.
        target: name of a skeleton.

    Raises:
        ValueError: if a skeleton is unknown or ``keypoints`` has another number of joints than its skeleton.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, convert_keypoints
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> body25 = convert_keypoints(left, "body25")
        >>> body25.xy.shape, int(body25.valid.sum())
        ((25, 2), 19)
    """
    source, wanted = skeleton(keypoints.skeleton), skeleton(target)
    if source is wanted:
        return keypoints
    xy, confidence = np.zeros((len(wanted), 2)), np.zeros(len(wanted))
    for i, name in enumerate(wanted.joint_names):
        if name in source.index:
            j = source.index[name]
            xy[i], confidence[i] = keypoints.xy[j], keypoints.confidence[j]
        elif name in _MIDPOINTS:
            a, b = (source.index[n] for n in _MIDPOINTS[name])
            lower = min(keypoints.confidence[a], keypoints.confidence[b])
            if lower > 0:
                xy[i], confidence[i] = (keypoints.xy[a] + keypoints.xy[b]) / 2, lower
    return Keypoints2D(target, xy, confidence)


def mirror(keypoints: Keypoints2D, image_width: float) -> Keypoints2D:
    """Return the keypoints as they lie in the image flipped left to right.

    Pixel x becomes ``image_width - x`` (the origin is the image's corner, not the first pixel's centre), and
    left and right joints change places, since the flipped person's right hand looks like a left hand. Missing
    joints keep (0, 0).
    """
    order = np.array(skeleton(keypoints.skeleton).mirror)
    xy = np.where(keypoints.valid[:, None], [image_width, 0.0] + keypoints.xy * [-1.0, 1.0], keypoints.xy)
    return Keypoints2D(keypoints.skeleton, xy[order], keypoints.confidence[order])
