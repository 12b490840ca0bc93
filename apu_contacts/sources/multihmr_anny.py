"""Multi-HMR's checkpoint for the Anny body: 163 rotations by bone."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.sources._records import People, finite_joints
from apu_contacts.sources.conventions import axis_angle, orientation_from_joints
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import SourceFormatError
from apu_contacts.sources.names import ANNY_BONES, ANNY_JOINTS

ROTATIONS = 163
PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")
"""What the first six numbers of the shape stand for, in the order of Anny's labels; each from 0 to 1."""


def anny_person(people: People, i: int, camera: Camera) -> InitialEstimate:
    """Return one person, whose start is the places of Anny's bones.

    Anny turns its bones in other axes than SMPL-X does, so the rotations are kept as they are, by bone, in
    ``raw`` (with the phenotypes), and a fit starts from the 50 joints that both bodies have.

    Raises:
        SourceFormatError: without ``j3d``, or of other shapes.
    """
    where = f"{people.where}: person {i}"
    turns = axis_angle(people.row("rotvec", i), ROTATIONS, f"{where}: rotvec").reshape(ROTATIONS, 3)
    xyz = people.get("j3d", i, -1, 3, finite=False)
    if len(xyz) != ROTATIONS:
        raise SourceFormatError(f"{where}: j3d must hold Anny's {ROTATIONS} bones, got {len(xyz)}")
    notes = ["Anny's rotations are not converted: a fit starts from its joints"]
    named = [(name, k) for k, name in enumerate(ANNY_JOINTS) if name is not None]
    names, points = finite_joints([name for name, _ in named], xyz[[k for _, k in named]], notes, where)
    orient = orientation_from_joints(names, points)
    shape = people.row("shape", i).ravel() if people.has("shape", i) else np.zeros(0)
    raw = {
        "rotations": {bone: turns[k] for k, bone in enumerate(ANNY_BONES)},
        "phenotypes": dict(zip(PHENOTYPES, shape.tolist(), strict=False)),
    }
    return InitialEstimate(
        estimator="multihmr",
        parameters={} if orient is None else {"global_orient": orient},
        joint_names=names,
        joints=points,
        raw=MappingProxyType(raw),
        model="anny",
        camera=camera,
        vertices=people.mesh("v3d", i, notes),
        confidence=people.number("scores", i) if people.has("scores", i) else 1.0,
        notes=tuple(notes),
    ).with_projection()
