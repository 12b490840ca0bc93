"""One set of keypoints from two detectors of the same person."""

from __future__ import annotations

import numpy as np

from apu_contacts.keypoints import SKELETONS, Keypoints2D, convert, mirror_name
from apu_contacts.keypoints.extent import person_size

MAX_ANKLE_DISTANCE = 0.03
"""Share of the person's size within which the two detectors' ankles must agree. Two detectors often differ by
0.05 in a crowd, and the other leg's ankle can be as near; a toe on the wrong foot is worse than no toe, so
only close agreement counts. BUDDI's 5 squared pixels are 0.015 of a person of 150 pixels and 0.005 of one of
450."""
MIN_CONFIDENCE = 0.2


def merge_keypoints(
    vitpose: Keypoints2D | None,
    openpose: Keypoints2D | None,
    *,
    joints: tuple[str, ...] = ("big_toe",),
    max_ankle_distance: float = MAX_ANKLE_DISTANCE,
    min_confidence: float = MIN_CONFIDENCE,
) -> Keypoints2D:
    """ViTPose's keypoints with OpenPose's toes: a body-only ViTPose has no feet.

    BUDDI's rule: a foot's toe is taken from OpenPose where both detectors place that foot's ankle at the same
    point, so that both mean the same foot. BUDDI compares squared pixels with 5, whatever the person's size,
    and replaces toes that were there; here the distance is relative to the person's size, both ankles must
    have been detected, ViTPose's other ankle must not be nearer, and only toes that ViTPose lacks are filled.

    Args:
        vitpose: keypoints of any skeleton, or None if ViTPose did not find the person: then OpenPose's are
            the result.
        openpose: keypoints of any skeleton, or None: then ViTPose's are the result.
        joints: the foot joints that are filled, without their side; ``("big_toe", "small_toe", "heel")`` for
            all.
        max_ankle_distance: as a share of the larger of the two `person_size`.
        min_confidence: that both ankles need.

    Returns:
        keypoints of the skeleton ``"body25"``.

    Raises:
        ValueError: if both are None.
    """
    if vitpose is None:
        if openpose is None:
            raise ValueError("vitpose and openpose are both None: there are no keypoints to merge")
        return convert(openpose, "body25")
    if openpose is None:
        return convert(vitpose, "body25")
    ours, theirs = convert(vitpose, "body25"), convert(openpose, "body25")
    index = SKELETONS["body25"].index
    size = max(person_size(ours), person_size(theirs))
    xy, confidence = ours.xy.copy(), ours.confidence.copy()
    for side in ("left", "right"):
        ankle, other = index[f"{side}_ankle"], index[mirror_name(f"{side}_ankle")]
        if min(ours.confidence[ankle], theirs.confidence[ankle]) < min_confidence:
            continue
        apart = np.linalg.norm(ours.xy[[ankle, other]] - theirs.xy[ankle], axis=1)
        if apart[0] > max_ankle_distance * size or (ours.confidence[other] > 0 and apart[1] < apart[0]):
            continue
        for joint in joints:
            j = index[f"{side}_{joint}"]
            if confidence[j] == 0:
                xy[j], confidence[j] = theirs.xy[j], theirs.confidence[j]
    return Keypoints2D("body25", xy, confidence)
