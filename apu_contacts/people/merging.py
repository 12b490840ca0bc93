"""One set of keypoints from two detectors of the same person."""

from __future__ import annotations

import numpy as np

from apu_contacts.keypoints import SEEN, SKELETONS, Keypoints2D, convert_keypoints, is_seen, mirror_name
from apu_contacts.keypoints.extent import person_size
from apu_contacts.keypoints.skeletons import NUM_FACE, NUM_HAND

MAX_ANKLE_DISTANCE = 0.03
"""Share of the person's size within which the two detectors' ankles must agree. Two detectors often differ by
0.05 in a crowd, and the other leg's ankle can be as near; a toe on the wrong foot is worse than no toe, so
only close agreement counts. BUDDI's 5 squared pixels are 0.015 of a person of 150 pixels and 0.005 of one of
450."""

_DETAILS = {
    "left_wrist": tuple(f"left_hand_{i}" for i in range(NUM_HAND)),
    "right_wrist": tuple(f"right_hand_{i}" for i in range(NUM_HAND)),
    "nose": (*(f"face_{i}" for i in range(NUM_FACE)), "left_pupil", "right_pupil"),
}
"""Body joint that two detectors must agree on -> the hand or face that hangs on it."""


def merge_keypoints(
    vitpose: Keypoints2D | None,
    openpose: Keypoints2D | None,
    *,
    joints: tuple[str, ...] = ("big_toe",),
    max_ankle_distance: float = MAX_ANKLE_DISTANCE,
    min_confidence: float = SEEN,
) -> Keypoints2D:
    """ViTPose's keypoints with OpenPose's toes: a body-only ViTPose has no feet.

    BUDDI's rule: a foot's toe is taken from OpenPose where both detectors place that foot's ankle at the same
    point, so that both mean the same foot. BUDDI compares squared pixels with 5, whatever the person's size,
    and replaces toes that were there; here the distance is relative to the person's size, both ankles must
    have been detected, ViTPose's other ankle must not be nearer, and only toes that ViTPose lacks are filled.
    A hand that ViTPose lacks is filled by the same rule where the wrists agree, and the face where the noses
    do.

    Args:
        vitpose: keypoints of any skeleton, or None if ViTPose did not find the person: then OpenPose's are
            the result.
        openpose: keypoints of any skeleton, or None: then ViTPose's are the result.
        joints: the foot joints that are filled, without their side; ``("big_toe", "small_toe", "heel")`` for
            all.
        max_ankle_distance: as a share of the larger of the two `person_size`; of wrists and noses too.
        min_confidence: that both ankles need, see `is_seen`.

    Returns:
        keypoints of the skeleton ``"body25"``, or ``"body25_hands_face"`` where either has a hand or a face.

    Raises:
        ValueError: if both are None.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, convert_keypoints, merge_keypoints
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> merge_keypoints(convert_keypoints(left, "body25"), None).skeleton
        'body25'
    """
    given = [keypoints for keypoints in (vitpose, openpose) if keypoints is not None]
    if not given:
        raise ValueError("vitpose and openpose are both None: there are no keypoints to merge")
    skeleton = "body25_hands_face" if any(_has_details(keypoints) for keypoints in given) else "body25"
    if vitpose is None or openpose is None:
        return convert_keypoints(given[0], skeleton)
    ours, theirs = convert_keypoints(vitpose, skeleton), convert_keypoints(openpose, skeleton)
    order = SKELETONS[skeleton]
    size = max(
        person_size(convert_keypoints(ours, "body25")), person_size(convert_keypoints(theirs, "body25"))
    )
    xy, confidence = ours.xy.copy(), ours.confidence.copy()

    def agree(joint: str) -> bool:
        i, other = order.index[joint], order.index[mirror_name(joint)]
        if not is_seen(min(ours.confidence[i], theirs.confidence[i]), min_confidence):
            return False
        apart = np.linalg.norm(ours.xy[[i, other]] - theirs.xy[i], axis=1)
        swapped = other != i and ours.confidence[other] > 0 and apart[1] < apart[0]
        return bool(apart[0] <= max_ankle_distance * size and not swapped)

    def fill(names: tuple[str, ...]) -> None:
        for j in order.indices(names):
            if confidence[j] == 0:
                xy[j], confidence[j] = theirs.xy[j], theirs.confidence[j]

    for side in ("left", "right"):
        if agree(f"{side}_ankle"):
            fill(tuple(f"{side}_{joint}" for joint in joints))
    for anchor, block in _DETAILS.items():
        # A hand is filled as a whole or not at all: two detectors' fingers do not make one hand.
        if not confidence[order.indices(block)].any() and agree(anchor):
            fill(block)
    return Keypoints2D(skeleton, xy, confidence)


def _has_details(keypoints: Keypoints2D) -> bool:
    order = SKELETONS[keypoints.skeleton]
    return any(keypoints.valid[order.indices(block)].any() for block in _DETAILS.values())
