"""From what detectors wrote to a scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apu_contacts.sources.detection import PersonDetection
from apu_losses.fitting.scene import InitialBody, Joints3D, Scene, SceneContact, ScenePerson

# How far a joint of SMPL means the same place as ours: limbs do, the spine and collars are definitions.
JOINT_TRUST: dict[str, float] = {
    **{
        f"{side}_{joint}": 1.0
        for side in ("left", "right")
        for joint in ("knee", "ankle", "shoulder", "elbow", "wrist")
    },
    "left_hip": 0.5,
    "right_hip": 0.5,
    "neck": 0.3,
    **dict.fromkeys(("nose", "left_eye", "right_eye", "left_ear", "right_ear"), 0.4),
    **{f"{side}_{point}": 0.2 for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")},
}


def scene_from_detections(
    detections: Sequence[PersonDetection],
    width: int,
    height: int,
    contacts: Sequence[SceneContact] = (),
    *,
    name: str = "scene",
    image: str | None = None,
) -> Scene:
    """A scene of detected people.

    Args:
        detections: who was seen, each with an initial estimate; see `apu_contacts.sources.assemble`.
        width, height: of the image, pixels.
        contacts: who touches whom, by position in ``detections``.

    Raises:
        ValueError: a person without an initial estimate (leave such people out, or give them one).
    """
    people = []
    for number, person in enumerate(detections):
        if person.initial is None:
            said = "; ".join(person.notes) or "no estimator found this person"
            raise ValueError(f"{name}: person {number} has no initial estimate to start from: {said}")
        estimate = person.initial
        known = [i for i, joint in enumerate(estimate.joint_names) if joint in JOINT_TRUST]
        names = tuple(estimate.joint_names[i] for i in known)
        joints = Joints3D(names, estimate.joints[known], np.array([JOINT_TRUST[n] for n in names]))
        label = ", ".join(f"{kind} {index}" for kind, index in person.source.items())
        people.append(ScenePerson(person.keypoints, InitialBody(estimate.parameters, joints), label))
    return Scene(width, height, people, contacts, name=name, image=image)
