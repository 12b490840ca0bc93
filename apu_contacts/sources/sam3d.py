"""SAM 3D Body: MHR's keypoints and mesh, without SMPL's parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apu_contacts.sources._records import People, Source, load_content
from apu_contacts.sources.conventions import Camera, orientation_from_joints
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError
from apu_contacts.sources.names import MHR70_JOINTS


def read_sam3d_body(
    source: Source, image_size: Sequence[float], *, allow_empty: bool = False
) -> list[InitialEstimate]:
    """The people of SAM 3D Body's output: the list of dictionaries that ``process_one_image`` returns.

    Read are ``pred_keypoints_3d (70, 3)`` and ``pred_cam_t (3,)``, whose sum is the camera frame, in metres,
    ``focal_length``, and, where they are there, ``pred_vertices`` (MHR's mesh), ``pred_keypoints_2d`` and
    ``bbox``. MHR's pose is no SMPL pose and is not converted: a fit starts from the 64 named keypoints (the
    body, the feet, both hands) and the orientation of the trunk. The mesh comes along in ``vertices``, for
    terms that need no parameters.

    Args:
        source: ``.npz``, ``.npy``, ``.pkl`` of NumPy arrays, or the list itself.
        image_size: width and height in pixels; the principal point is the middle.
        allow_empty: return an empty list for nobody instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError, ConventionError, NoPeopleError: as
            `apu_contacts.sources.read_hmr2`.
    """
    content, where = load_content(source)
    people = People(content, where, {"pred_keypoints_3d": 2})
    if people.count == 0:
        if allow_empty:
            return []
        raise NoPeopleError(f"{where}: SAM 3D Body found nobody in this image")
    return [_person(people, i, image_size).checked(f"{where}: person {i}") for i in range(people.count)]


def _person(people: People, i: int, image_size: Sequence[float]) -> InitialEstimate:
    where = f"{people.where}: person {i}"
    translation = people.get("pred_cam_t", i, 3)
    points = people.get("pred_keypoints_3d", i, -1, 3)
    if len(points) < len(MHR70_JOINTS):
        raise SourceFormatError(
            f"{where}: pred_keypoints_3d must hold {len(MHR70_JOINTS)} keypoints, got {len(points)}"
        )
    named = [(name, k) for k, name in enumerate(MHR70_JOINTS) if name is not None]
    names = tuple(name for name, _ in named)
    xyz = points[[k for _, k in named]] + translation
    camera = Camera(people.number("focal_length", i), (image_size[0] / 2, image_size[1] / 2))
    orient = orientation_from_joints(names, xyz)
    return InitialEstimate(
        estimator="sam3d",
        parameters={} if orient is None else {"global_orient": orient},
        joint_names=names,
        joints=xyz,
        model="mhr",
        camera=camera,
        vertices=people.get("pred_vertices", i, -1, 3) + translation if people.has("pred_vertices") else None,
        bbox=np.asarray(people.get("bbox", i, 4)) if people.has("bbox") else None,
    ).with_projection()
