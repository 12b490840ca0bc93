"""OpenPose's JSON output, and the files of other detectors that are written in its layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.sources._json import kind, read_json_object, xyc
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError

_BODY_JOINTS = 25
_HAND_JOINTS = 21
_FACE_JOINTS = 70
_OTHER_BODIES = {
    54: "18 joints: the COCO body model; run OpenPose with --model_pose BODY_25",
    45: "15 joints: MPI",
}


def read_openpose(
    path: str | Path, *, hands_and_face: bool = False, allow_empty: bool = False
) -> list[Keypoints2D]:
    """The people of an OpenPose file, in the file's order.

    OpenPose writes 0, 0, 0 for a joint that it did not find: confidence 0 here. A person without any joint
    stays in the list, so that positions in the list are OpenPose's.

    Args:
        path: JSON with ``people[].pose_keypoints_2d`` (25 times x, y, confidence; pixels of the full image).
        hands_and_face: also read ``hand_left_keypoints_2d``, ``hand_right_keypoints_2d`` (21 each) and
            ``face_keypoints_2d`` (70) where they are there; they are missing joints where they are absent or
            empty.
        allow_empty: return an empty list for a file without people instead of raising.

    Returns:
        keypoints of the skeleton ``"body25"``, or ``"body25_hands_face"``.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if it is not JSON in this layout; the person, the key and what came are named.
        NoPeopleError: if the list of people is empty.
    """
    content = read_json_object(path)
    people = content.get("people")
    if not isinstance(people, list):
        have = ", ".join(sorted(content)) or "nothing"
        raise SourceFormatError(
            f"{path}: expected a list under the key 'people' (OpenPose's layout), found {have}"
        )
    if not people and not allow_empty:
        raise NoPeopleError(f"{path}: the list 'people' is empty: nobody was detected in this image")
    return [_read_person(person, f"{path}: people[{i}]", hands_and_face) for i, person in enumerate(people)]


def _read_person(person: Any, where: str, hands_and_face: bool) -> Keypoints2D:
    if not isinstance(person, dict):
        raise SourceFormatError(f"{where}: expected an object, got {kind(person)}")
    if "pose_keypoints_2d" not in person:
        raise SourceFormatError(f"{where}: the key 'pose_keypoints_2d' is missing")
    pose = person["pose_keypoints_2d"]
    hint = f" ({_OTHER_BODIES[len(pose)]})" if isinstance(pose, list) and len(pose) in _OTHER_BODIES else ""
    body = xyc(pose, _BODY_JOINTS, f"{where}.pose_keypoints_2d", hint)
    if not hands_and_face:
        return Keypoints2D("body25", body[:, :2], body[:, 2])
    left = _optional(person, "hand_left_keypoints_2d", _HAND_JOINTS, where)
    right = _optional(person, "hand_right_keypoints_2d", _HAND_JOINTS, where)
    face = _optional(person, "face_keypoints_2d", _FACE_JOINTS, where)
    joints = np.concatenate([body, left, right, face])
    return Keypoints2D(SKELETONS["body25_hands_face"].name, joints[:, :2], joints[:, 2])


def _optional(person: dict[str, Any], key: str, joints: int, where: str) -> NDArray[np.float64]:
    """A block that OpenPose leaves out, or leaves empty, when it ran without that detector."""
    if not person.get(key):
        return np.zeros((joints, 3))
    return xyc(person[key], joints, f"{where}.{key}")
