"""Which frames of NTU RGB+D show two people in contact.

The paper (sections 3.2, 4.1 and D.1) chose them by the distance between the 3D joints of the two people, 2D
keypoints, and by hand, one of each recording, and gives neither thresholds nor the list of its 309 frames.
This is the part that needs no hand, with its thresholds as arguments; whoever has a list gives that instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apu_contacts.keypoints import Keypoints2D
from apu_contacts.keypoints.skeletons import skeleton
from apu_contacts.sources import NTU_JOINTS, NtuBody, NtuRecording
from apu_losses.evaluation.frames import FloatArray
from apu_losses.evaluation.joint_sets import LIMBS

FindKeypoints = Callable[[str, int], list[Keypoints2D] | None]
"""Name of a recording and number of a frame -> the people of an estimator, None where it was not run."""

_LIMBS = [NTU_JOINTS.index(name) for name in LIMBS]
_UPRIGHT = 0.8
"""Height over width below which a skeleton is furniture. To look at the two is the advice of the data set's
authors; the figure is ours and not measured. Somebody who falls may be wider than high for a while."""


@dataclass(frozen=True)
class ContactRule:
    """When two people count as being in contact, and which frames of a recording are taken.

    The paper gives no threshold: each is ours, and says what it goes by.

    Args:
        max_distance: metres; some joint of one person must be as near to some joint of the other. Joints lie
            inside the body, so people who touch are not at 0. Measured: 20 cm is the least round figure that
            keeps every one of 320 synthetic and 550 captured moments of contact; 15 cm loses 8 and 1.5 %.
            Of 11 captured moments with more than 10 cm between the bodies it takes none, of 158 with 1 to
            5 cm nearly all: near contact cannot be told from contact by joints
            (``docs/measurements/evaluation.md``).
        max_gap: the same in the picture, as a share of the taller person's height there. Not measured: 20 cm
            in space are 0.12 of somebody upright and 0.2 of somebody who crouches to a metre.
        max_reprojection: the mean distance of Kinect's limb joints in the picture from an estimator's
            keypoints, as a share of that height, where keypoints are given: beyond, the skeleton is wrong.
            Two detectors agree to 0.01 to 0.07 of a person's size on the same person and are 0.14 and more
            apart on two, see `apu_contacts.people.match_people`. The paper looks at this error, too.
        per_recording: how many frames; those with the smallest distance. The paper's test set has one, its
            training set three (section D.1).
        apart: frames between two that are taken of one recording, a third of a second. Not measured; of one
            frame a recording it plays no part.
        min_tracking: least state of a limb joint: 1 inferred, 2 tracked. Not measured: in contact limbs hide
            each other, so 2 would leave out what is looked for.
    """

    max_distance: float = 0.2
    max_gap: float = 0.2
    max_reprojection: float = 0.1
    per_recording: int = 1
    apart: int = 10
    min_tracking: int = 1

    def __post_init__(self) -> None:
        if self.per_recording < 1:
            raise ValueError(f"per_recording must be at least 1, got {self.per_recording}")


@dataclass(frozen=True)
class Chosen:
    """A frame of a recording: its number, its two people, and how near they are in metres."""

    number: int
    people: tuple[NtuBody, NtuBody]
    distance: float


def contact_frames(
    recording: NtuRecording, contact_rule: ContactRule | None = None, keypoints: FindKeypoints | None = None
) -> list[Chosen]:
    """Return the frames of a recording in which its two people are in contact, nearest first.

    Args:
        recording: the people of all frames.
        contact_rule: thresholds.
        keypoints: an estimator's people; without it, or where it gives None, Kinect's own places in the
            picture stand in.
    """
    contact_rule = contact_rule or ContactRule()
    near = []
    for number, people in two_people(recording):
        distance = joint_distance(people)
        if distance <= contact_rule.max_distance and _tracked(people, contact_rule.min_tracking):
            near.append(Chosen(number, people, distance))
    near.sort(key=lambda each: (each.distance, each.number))
    taken: list[Chosen] = []
    for each in near:
        if len(taken) == contact_rule.per_recording:
            break
        seen = keypoints(recording.name, each.number) if keypoints is not None else None
        clear = all(abs(each.number - other.number) >= contact_rule.apart for other in taken)
        if clear and _holds_in_picture(each.people, seen, contact_rule):
            taken.append(each)
    return taken


def two_people(recording: NtuRecording) -> list[tuple[int, tuple[NtuBody, NtuBody]]]:
    """Return the frames that show both of the two people who are seen most, these two in order of their
    numbers.

    Skeletons that are wider than high are furniture and do not count.
    """
    seen: dict[int, int] = {}
    for bodies in recording.frames:
        for body in bodies:
            if _upright(body):
                seen[body.identity] = seen.get(body.identity, 0) + 1
    if len(seen) < 2:
        return []
    first, second = sorted(sorted(seen, key=lambda identity: (-seen[identity], identity))[:2])
    frames = []
    for number, bodies in enumerate(recording.frames):
        found = {body.identity: body for body in bodies if _upright(body)}
        if first in found and second in found:
            frames.append((number, (found[first], found[second])))
    return frames


def joint_distance(people: tuple[NtuBody, NtuBody]) -> float:
    """Metres between the nearest joints of two people."""
    a, b = (body.joints for body in people)
    return float(np.linalg.norm(a[:, None] - b[None], axis=-1).min())


def _upright(body: NtuBody) -> bool:
    finite = bool(np.isfinite(body.joints).all())
    spread = np.ptp(body.joints, axis=0) if finite else np.zeros(3)
    return finite and bool(spread[1] > _UPRIGHT * spread[0])


def _tracked(people: tuple[NtuBody, NtuBody], least: int) -> bool:
    return all(bool((body.tracking[_LIMBS] >= least).all()) for body in people)


def _holds_in_picture(
    people: tuple[NtuBody, NtuBody], seen: list[Keypoints2D] | None, contact_rule: ContactRule
) -> bool:
    own = [body.color for body in people]
    height = max(_height(points) for points in own)
    if not height > 0:
        return False
    places = own
    if seen is not None:
        limbs = [points[_LIMBS] for points in own]
        matched = _matched(limbs, seen)
        if matched is None or max(error for error, _ in matched) > contact_rule.max_reprojection * height:
            return False
        places = [found for _, found in matched]
    a, b = (points[np.isfinite(points).all(1)] for points in places)
    if not len(a) or not len(b):
        return False
    return bool(np.linalg.norm(a[:, None] - b[None], axis=-1).min() <= contact_rule.max_gap * height)


def _matched(limbs: list[FloatArray], seen: list[Keypoints2D]) -> list[tuple[float, FloatArray]] | None:
    """For both people the keypoints that lie nearest on their limbs, each used once: error and ``(K, 2)``."""
    table = []
    for person in seen:
        places = skeleton(person.skeleton).index
        if any(name not in places for name in LIMBS):
            return None
        rows = [places[name] for name in LIMBS]
        sure = person.confidence > 0.2
        off = [np.where(sure[rows], np.linalg.norm(person.xy[rows] - each, axis=1), np.nan) for each in limbs]
        known = int(sure[rows].sum())
        table.append(([float(np.nanmean(each)) if known >= 4 else np.inf for each in off], person.xy[sure]))
    pairs = [
        (table[i][0][0] + table[k][0][1], i, k)
        for i in range(len(table))
        for k in range(len(table))
        if i != k
    ]
    if not pairs or not np.isfinite(min(pairs)[0]):
        return None
    _, i, k = min(pairs)
    return [(table[i][0][0], table[i][1]), (table[k][0][1], table[k][1])]


def _height(points: FloatArray) -> float:
    rows = points[np.isfinite(points).all(1)]
    return float(np.ptp(rows[:, 1])) if len(rows) else 0.0
