"""PromptHMR on a picture: SMPL-X for everybody in it, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.sources._records import People, Source, load_content
from apu_contacts.sources.conventions import MEAN_PELVIS, matrices_to_axis_angle
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError
from apu_contacts.sources.image_camera import center_of_image
from apu_contacts.sources.multihmr import padded_to_image
from apu_contacts.sources.tracks import camera_of_matrix


def read_prompthmr(
    source: Source, image_size: Sequence[float], *, input_size: float = 896, allow_empty: bool = False
) -> list[InitialEstimate]:
    """Return the people of PromptHMR's ``output.pt``, as its demo of one picture saves it.

    Read are ``rotmat (N, 22, 3, 3)``, ``betas``, ``transl`` (smplx's) and ``vertices (N, 10475, 3)``, in
    metres and the camera's frame. ``pose`` holds the same rotations as six numbers each. ``cam_int`` is of
    the picture scaled to fit a square and padded around its middle: it is scaled back.

    Args:
        source: the file, or what it holds (arrays or tensors).
        image_size: width and height of the picture in pixels.
        input_size: side of the square in pixels.
        allow_empty: return an empty list for nobody instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_torch`.
        ConventionError: if ``cam_int`` is of a picture of another size.
        NoPeopleError: if it holds nobody.
    """
    content, where = load_content(source)
    people = People(content, where, {"rotmat": 3})
    if people.count == 0:
        if allow_empty:
            return []
        raise NoPeopleError(f"{where}: PromptHMR found nobody in this picture")
    size = [float(n) for n in image_size]
    padded = camera_of_matrix(people.shared("cam_int", 3, 3), f"{where}: cam_int")
    middle = padded_to_image(np.array(padded.center), size, input_size)
    camera = Camera(padded.focal * max(size) / input_size, (float(middle[0]), float(middle[1])))
    note = center_of_image(camera, size, where)
    return people.each(lambda i: _person(people, i, camera, note), "prompthmr")


def _person(people: People, i: int, camera: Camera, note: str) -> InitialEstimate:
    where = f"{people.where}: person {i}"
    matrices = people.get("rotmat", i, -1, 3, 3)
    if len(matrices) != 22:
        raise SourceFormatError(f"{where}: rotmat must hold 22 rotations, got {len(matrices)}")
    pose = matrices_to_axis_angle(matrices, f"{where}: rotmat")
    transl = people.get("transl", i, 3)
    own = {"transl": transl}
    if people.has("betas", i):
        own["betas"] = people.row("betas", i).ravel()
    notes = [note] if note else []
    notes += [
        "its hands are the mean hand",
        "its pelvis is taken to be that of the mean shape, a few cm from its own",
    ]
    return InitialEstimate(
        estimator="prompthmr",
        parameters={"global_orient": pose[0], "body_pose": pose[1:].ravel()},
        joint_names=("pelvis",),
        joints=(transl + MEAN_PELVIS["smplx"])[None],
        model="smplx",
        own=own,
        camera=camera,
        vertices=people.mesh("vertices", i, notes),
        notes=tuple(notes),
    )
