"""OpenPose's JSON output, and the files of other detectors that are written in its layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_contacts.keypoints import skeleton as skeleton_named
from apu_contacts.sources._json import kind, read_json_object, xyc
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError
from apu_contacts.sources.keypoint_records import each_person

_BODY_JOINTS = 25
_HAND_JOINTS = 21
_FACE_JOINTS = 70
_OTHER_BODIES = {
    54: "18 joints: the COCO body model; run OpenPose with --model_pose BODY_25",
    45: "15 joints: MPI",
    78: "26 joints: Halpe-26 of rtmlib or AlphaPose in OpenPose's layout; read it with skeleton='halpe26'",
    51: "17 joints: COCO's in OpenPose's layout; read it with skeleton='coco17'",
    399: "133 joints: COCO-WholeBody's in OpenPose's layout; read it with skeleton='coco_wholebody133'",
    50: "25 joints without confidences",
}


def read_openpose(
    path: str | Path,
    *,
    hands_and_face: bool = False,
    skeleton: str = "body25",
    score_scale: float = 1.0,
    allow_empty: bool = False,
) -> list[Keypoints2D]:
    """Return the people of an OpenPose file, in the file's order.

    OpenPose writes 0, 0, 0 for a joint that it did not find: confidence 0 here. A person without any joint,
    or with an empty list of them, stays in the list, so that positions in the list are OpenPose's; so does
    one whose record is damaged, as long as others can be read. Files of OpenPose before 1.3
    (``pose_keypoints``) are read alike.

    Args:
        path: JSON with ``people[].pose_keypoints_2d`` (25 times x, y, confidence; pixels of the full image).
        hands_and_face: also read ``hand_left_keypoints_2d``, ``hand_right_keypoints_2d`` (21 each) and
            ``face_keypoints_2d`` (70) where they are there; they are missing joints where they are absent or
            empty.
        skeleton: that of ``pose_keypoints_2d``, where another detector's joints were written in this
            layout: ``"halpe26"`` (rtmlib and AlphaPose by way of Pose2Sim), ``"coco17"``, ...; hands and face
            are then not read.
        score_scale: what confidences are divided by, where they are not in [0, 1].
        allow_empty: return an empty list for a file without people instead of raising.

    Returns:
        keypoints of the skeleton ``"body25"`` or ``"body25_hands_face"``, or of ``skeleton``.

    Warns:
        SourceWarning: for each person whose record is damaged.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if it is not JSON in this layout; the person, the key and what came are named.
        ConventionError: if the coordinates are no pixels.
        NoPeopleError: if the list of people is empty.
        ValueError: on an unknown ``skeleton``.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, convert_keypoints, read_openpose, write_openpose
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/0001_keypoints.json"
        >>> write_openpose(path, [convert_keypoints(left, "body25")])
        >>> read_openpose(path)[0].skeleton
        'body25'
    """
    joints = len(skeleton_named(skeleton))
    content = read_json_object(path)
    people = content.get("people")
    if not isinstance(people, list):
        have = ", ".join(sorted(content)) or "nothing"
        raise SourceFormatError(
            f"{path}: expected a list under the key 'people' (OpenPose's layout), found {have}"
        )
    if not people and not allow_empty:
        raise NoPeopleError(f"{path}: the list 'people' is empty: nobody was detected in this image")

    def read(i: int) -> Keypoints2D:
        where = f"{path}: people[{i}]"
        if skeleton != "body25":
            pose = _pose(people[i], where)
            pose = [0.0] * (3 * joints) if pose == [] else pose
            person = xyc(pose, joints, f"{where}.pose_keypoints_2d", score_scale=score_scale)
            return Keypoints2D(skeleton, person[:, :2], person[:, 2])
        return _read_person(people[i], where, hands_and_face, score_scale)

    named = "body25_hands_face" if hands_and_face and skeleton == "body25" else skeleton
    return each_person(len(people), read, named)


def _pose(person: Any, where: str) -> Any:
    """Return the list of the body's joints; an empty one, or none at all, is a person without joints."""
    if not isinstance(person, dict):
        raise SourceFormatError(f"{where}: expected an object, got {kind(person)}")
    key = next((key for key in ("pose_keypoints_2d", "pose_keypoints") if key in person), None)
    if key is None:
        found = ", ".join(sorted(person)) or "nothing"
        raise SourceFormatError(f"{where}: the key 'pose_keypoints_2d' is missing, found {found}")
    return person[key]


def _read_person(person: Any, where: str, hands_and_face: bool, score_scale: float) -> Keypoints2D:
    pose = _pose(person, where)
    hint = f" ({_OTHER_BODIES[len(pose)]})" if isinstance(pose, list) and len(pose) in _OTHER_BODIES else ""
    if isinstance(pose, list) and pose and isinstance(pose[0], list):
        hint = "; these are lists of points, where OpenPose has x, y, confidence, x, y, ... in one list"
    body = (
        xyc(pose, _BODY_JOINTS, f"{where}.pose_keypoints_2d", hint, score_scale=score_scale)
        if pose != []
        else np.zeros((_BODY_JOINTS, 3))
    )
    if not hands_and_face:
        return Keypoints2D("body25", body[:, :2], body[:, 2])
    left, right, face = (
        _optional(person, key, joints, where, score_scale)
        for key, joints in (
            ("hand_left_keypoints_2d", _HAND_JOINTS),
            ("hand_right_keypoints_2d", _HAND_JOINTS),
            ("face_keypoints_2d", _FACE_JOINTS),
        )
    )
    joints = np.concatenate([body, left, right, face])
    return Keypoints2D(SKELETONS["body25_hands_face"].name, joints[:, :2], joints[:, 2])


def _optional(
    person: dict[str, Any], key: str, joints: int, where: str, score_scale: float
) -> NDArray[np.float64]:
    """Return a block that OpenPose leaves out, or leaves empty, when it ran without that detector."""
    if not person.get(key):
        return np.zeros((joints, 3))
    return xyc(person[key], joints, f"{where}.{key}", score_scale=score_scale, whole=False)
