"""Hands: a relaxed mean pose and an ordered orthonormal basis of hand poses."""

from __future__ import annotations

import numpy as np

from apu_contacts.keypoints.joints import FINGERS

# Flexion of a resting hand in degrees at the knuckle, middle and end joint; the free body's flat hand is
# already slightly bent, so this is what is added. Fingers curl more towards the little finger.
REST_FLEXION = {"index": (8, 14, 8), "middle": (10, 17, 9), "ring": (12, 19, 10), "pinky": (14, 19, 10)}
REST_THUMB = (
    (8.0, -6.0, -10.0),
    (0.0, 0.0, -8.0),
    (0.0, 0.0, -12.0),
)  # degrees about x, y, z of each thumb joint
SPREAD = {"index": 3.0, "middle": 1.0, "ring": -1.5, "pinky": -4.0}  # brings the fingers together, about y
# Standard deviations in radians about x (twist), y (spread) and z (flexion) used to order the basis.
FINGER_SD = ((0.08, 0.15, 0.55), (0.03, 0.04, 0.65), (0.03, 0.03, 0.40))
THUMB_SD = ((0.35, 0.30, 0.35), (0.10, 0.12, 0.30), (0.08, 0.08, 0.40))
FLEXION_TOGETHER = 0.8  # correlation of flexion between fingers
ALONG_FINGER = 0.7  # and along one finger


def relaxed_left_hand() -> np.ndarray:
    """(45,) axis-angle of the relaxed left hand; flexion turns about -z (the palm faces down in the
    T-pose).
    """
    out = np.zeros((len(FINGERS), 3, 3))
    for i, finger in enumerate(FINGERS):
        if finger == "thumb":
            out[i] = REST_THUMB
            continue
        out[i, :, 2] = -np.array(REST_FLEXION[finger], float)
        out[i, 0, 1] = SPREAD[finger]
    return np.radians(out).reshape(45)


def mirrored_hand(pose: np.ndarray) -> np.ndarray:
    """(..., 45) the same pose of the other hand: reflection in x flips the turns about y and z."""
    return (pose.reshape(*pose.shape[:-1], 15, 3) * np.array([1.0, -1.0, -1.0])).reshape(pose.shape)


def hand_components() -> np.ndarray:
    """(45, 45) orthonormal rows for the left hand, from the most to the least common motion.

    They are the eigenvectors of a covariance that is stated here (ranges of each joint, fingers that bend
    together), not learned from recorded hands: the first component closes the hand.
    """
    sd = np.array([THUMB_SD if f == "thumb" else FINGER_SD for f in FINGERS])
    corr = np.eye(45).reshape(5, 3, 3, 5, 3, 3)
    thumb = FINGERS.index("thumb")
    for a in range(5):
        for b in range(5):
            across = 1.0 if a == b else (0.3 if thumb in (a, b) else FLEXION_TOGETHER)
            for i in range(3):
                for j in range(3):
                    along = 1.0 if i == j else ALONG_FINGER
                    if (a, i) != (b, j):
                        corr[a, i, 2, b, j, 2] = across * along
    cov = corr.reshape(45, 45) * sd.reshape(45)[:, None] * sd.reshape(45)[None]
    values, vectors = np.linalg.eigh(cov)
    rows = vectors[:, np.argsort(-values, kind="stable")].T
    # A component's sign: closing the hand is +, so its flexion (about -z) sums to a negative number.
    largest = rows[np.arange(45), np.abs(rows).argmax(1)]
    flex = rows.reshape(45, 15, 3)[:, :, 2].sum(1)
    sign = np.where(np.abs(flex) > 1e-6, -np.sign(flex), np.sign(largest))
    return rows * sign[:, None]
