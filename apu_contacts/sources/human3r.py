"""Human3R: people, scene and cameras of a video; what users save of its people, one file a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.camera import Camera
from apu_contacts.sources._records import Array, People, Source, load_content
from apu_contacts.sources.conventions import axis_angle
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError
from apu_contacts.sources.tracks import camera_of_matrix

_ROTATIONS = 53  # root, 21 of the body, 15 of each hand, jaw
_PARTS = {"left_hand_pose": (22, 37), "right_hand_pose": (37, 52), "jaw_pose": (52, 53)}


def read_human3r(
    source: Source, *, intrinsics: ArrayLike | None = None, allow_empty: bool = False
) -> list[InitialEstimate]:
    """Return the people of one frame, ``smpl/000000.npz``.

    ``transl`` is the place of the *head*, in the frame's camera; where the pelvis is follows from a body in
    this pose (`apu_losses.fitting.posed_estimate` puts its head there), so the head is the only joint.

    Args:
        source: the file, or what it holds: ``rotvec (N, 53, 3)``, ``shape (N, 10)``, ``transl (N, 3)``,
            ``expression``, ``scores``.
        intrinsics: ``(3, 3)`` of the frame; where it is not given, the file of the same name in the folder
            ``camera`` beside the folder of ``source``, if it is there.
        allow_empty: return an empty list for nobody instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError, ConventionError, NoPeopleError: as
            `apu_contacts.sources.read_hmr2`.
    """
    content, where = load_content(source)
    people = People(content, where, {"rotvec": 2})
    if people.count == 0:
        if allow_empty:
            return []
        raise NoPeopleError(f"{where}: Human3R found nobody in this frame")
    camera = None
    if intrinsics is None and isinstance(source, str | Path):
        beside = Path(source).parent.parent / "camera" / f"{Path(source).stem}.npz"
        if beside.is_file():
            found, named = load_content(beside)
            if "intrinsics" not in found:
                raise SourceFormatError(f"{named}: expected intrinsics, found {', '.join(sorted(found))}")
            intrinsics = found["intrinsics"]
    if intrinsics is not None:
        camera = camera_of_matrix(np.asarray(intrinsics, dtype=np.float64).reshape(3, 3), f"{where}: camera")
    return people.each(lambda i: _person(people, i, camera), "human3r")


def _person(people: People, i: int, camera: Camera | None) -> InitialEstimate:
    where = f"{people.where}: person {i}"
    pose = axis_angle(people.row("rotvec", i), _ROTATIONS, f"{where}: rotvec").reshape(_ROTATIONS, 3)
    own: dict[str, Array] = {name: pose[a:b].ravel() for name, (a, b) in _PARTS.items()}
    for name, key in (("betas", "shape"), ("expression", "expression")):
        if people.has(key, i):
            own[name] = people.row(key, i).ravel()[:10]
    return InitialEstimate(
        estimator="human3r",
        parameters={"global_orient": pose[0], "body_pose": pose[1:22].ravel()},
        joint_names=("head",),
        joints=people.get("transl", i, 3)[None],
        model="smplx",
        own=own,
        camera=camera,
        confidence=people.number("scores", i) if people.has("scores", i) else 1.0,
        notes=("its place is that of the head",),
        # its SMPL-X is Multi-HMR's, made with flat_hand_mean=True
        flat_hand_mean=True,
    )
