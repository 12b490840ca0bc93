"""HMR2 (4DHumans) and what has its output dictionary, such as CameraHMR: SMPL from a crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.sources._records import Array, People, Source, choose_part, finite_joints, load_content
from apu_contacts.sources.checks import ConventionError
from apu_contacts.sources.conventions import (
    MEAN_PELVIS,
    axis_angle,
    weak_perspective_to_translation,
)
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError
from apu_contacts.sources.image_camera import beside_box
from apu_contacts.sources.names import OPENPOSE25_OF_SMPL, SMPL_JOINTS, SMPL_OUTPUT_JOINTS

CROP_FOCAL, CROP_PIXELS = 5000.0, 256.0
"""HMR2's focal length for a crop of 256 pixels. In the full image it is ``5000 / 256 * max(W, H)``."""
_BODY25_FIRST = (25, 44, 49)
"""Numbers of joints of HMR-like outputs that begin with BODY_25's slots."""


def read_hmr2(
    source: Source,
    image_size: Sequence[float] | None = None,
    *,
    estimator: str = "hmr2",
    part: str | None = None,
    allow_empty: bool = False,
) -> list[InitialEstimate]:
    """Return the people of HMR2's output dictionary, saved as it is: ``np.savez(path, **out)``.

    Read are ``pred_smpl_params`` (or its members: ``global_orient``, ``body_pose``, ``betas``; rotation
    matrices, or axis-angle), the translation ``pred_cam_t_full`` with ``scaled_focal_length`` (or
    ``focal_length`` of the full image), else ``pred_cam`` with ``box_center`` and ``box_size``, from which
    the translation is computed; and, where they are there, ``pred_keypoints_3d``, ``pred_vertices``,
    ``img_size``, ``cam_int``, ``bbox``. How many 3D keypoints there are says what they are: 44 are HMR2's
    (the first 25 SMPL's joints in BODY_25's slots; likewise SPIN's 49, and 25), 45 the smplx package's and 24
    SMPL's.

    Args:
        source: ``.npz``, ``.pkl`` of NumPy arrays, or the dictionary (arrays or tensors), or a list of them.
        image_size: width and height in pixels; not needed where the file has ``img_size``.
        estimator: how to call it.
        part: which of the nested dictionaries is meant, where two give the same names.
        allow_empty: return an empty list for a file without people instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError: as `read_npz` and `read_numpy_pickle`.
        SourceFormatError: if an array is missing or has another shape.
        ConventionError: if units or frame are not those of HMR2.
        NoPeopleError: if it holds nobody.

    Warns:
        SourceWarning: for each person whose values cannot be used while others' can; such a person's estimate
            has no joints, and ``notes`` say why.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_hmr2
        >>> params = {"global_orient": np.eye(3)[None, None], "body_pose": np.tile(np.eye(3), (1, 23, 1, 1))}
        >>> out = {"pred_smpl_params": {**params, "betas": np.zeros((1, 10))}}
        >>> out |= {"pred_cam_t_full": np.array([[0.0, 0.0, 5.0]]), "scaled_focal_length": np.array(1200.0)}
        >>> (person,) = read_hmr2(out, image_size=(640, 480))
        >>> person.own["transl"].tolist(), person.camera.focal
        ([0.0, 0.0, 5.0], 1200.0)
    """
    content, where = load_content(source)
    people = People(
        choose_part(content, part, where), where, {"pred_cam_t_full": 1, "pred_cam": 1, "global_orient": 1}
    )
    if people.count == 0:
        if allow_empty:
            return []
        raise NoPeopleError(f"{where}: {estimator} found nobody in this image")
    camera = _camera(people, image_size)
    return people.each(lambda i: _person(people, i, camera, estimator), estimator)


def read_camerahmr(
    source: Source,
    image_size: Sequence[float] | None = None,
    *,
    part: str | None = None,
    allow_empty: bool = False,
) -> list[InitialEstimate]:
    """Return the people of CameraHMR's output: as `read_hmr2`, with the camera that it estimates in
    ``cam_int`` ``(3, 3)``, so that depths are those of the true focal length. Its joints are the smplx
    package's 45.

    Args, Raises: as `read_hmr2`.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_camerahmr
        >>> sizes = {"global_orient": 3, "body_pose": 69, "betas": 10}
        >>> out = {name: np.zeros((1, size)) for name, size in sizes.items()}
        >>> camera = np.array([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]])
        >>> out |= {"pred_cam_t_full": np.array([[0.0, 0, 5]]), "cam_int": camera}
        >>> (person,) = read_camerahmr(out)
        >>> person.estimator, person.camera
        ('camerahmr', Camera(focal=800.0, center=(320.0, 240.0)))
    """
    return read_hmr2(source, image_size, estimator="camerahmr", part=part, allow_empty=allow_empty)


def _camera(people: People, image_size: Sequence[float] | None) -> Camera:
    if image_size is not None and people.has("img_size"):
        stated = people.shared("img_size", 2)
        if np.abs(stated - np.asarray(image_size, dtype=np.float64)).max() > 1:
            raise ConventionError(
                f"{people.where}: img_size says {stated[0]:g} x {stated[1]:g}, image_size is "
                f"{image_size[0]:g} x {image_size[1]:g}: the size of another picture, or of a resized one?"
            )
    if people.has("cam_int"):
        return Camera.from_intrinsics(people.shared("cam_int", 3, 3))
    if image_size is None and people.has("img_size"):
        image_size = people.shared("img_size", 2).tolist()
    if image_size is None:
        raise SourceFormatError(
            f"{people.where}: img_size is missing; give image_size=(width, height) in pixels"
        )
    width, height = (float(n) for n in image_size)
    key = people.first("scaled_focal_length", "focal_length")
    focal = CROP_FOCAL / CROP_PIXELS * max(width, height)
    if key is not None:
        given = people.one(key)
        # focal_length is that of the crop in HMR2's own output, and of the full image in others'
        if not (key == "focal_length" and abs(given - CROP_FOCAL) < 1):
            focal = given
    return Camera(focal, (width / 2, height / 2))


def _person(people: People, i: int, camera: Camera, estimator: str) -> InitialEstimate:
    where = f"{people.where}: person {i}"
    orient = axis_angle(people.row("global_orient", i), 1, f"{where}: global_orient")
    pose = people.row("body_pose", i)
    joints = 21 if pose.size in (63, 189) else 23
    body = axis_angle(pose, joints, f"{where}: body_pose")[:63]
    translation = _translation(people, i, camera)
    own: dict[str, Array] = {"transl": translation}
    if people.has("betas", i):
        own["betas"] = people.row("betas", i).ravel()
    names, xyz, notes = _joints(people, i, translation)
    names, xyz = finite_joints(names, xyz, notes, where)
    box = _box(people, i)
    if box is not None:
        notes += beside_box(camera, xyz, box)
    vertices = people.mesh("pred_vertices", i, notes)
    return InitialEstimate(
        estimator=estimator,
        parameters={"global_orient": orient, "body_pose": body},
        joint_names=names,
        joints=xyz,
        model="smpl",
        own=own,
        camera=camera,
        vertices=None if vertices is None else vertices + translation,
        bbox=box,
        notes=tuple(notes),
    ).with_projection()


def _translation(people: People, i: int, camera: Camera) -> Array:
    missing = [key for key in ("pred_cam", "box_center", "box_size") if not people.has(key, i)]
    if people.has("pred_cam_t_full", i):
        return people.get("pred_cam_t_full", i, 3)
    if missing:
        raise SourceFormatError(
            f"{people.where}: neither pred_cam_t_full nor all of pred_cam, box_center and box_size is there "
            f"({', '.join(missing)} missing); pred_cam_t alone is the translation in the crop"
        )
    size = people.number("box_size", i)
    return weak_perspective_to_translation(
        people.get("pred_cam", i, 3), people.get("box_center", i, 2), size, camera
    )


def _joints(people: People, i: int, translation: Array) -> tuple[tuple[str, ...], Array, list[str]]:
    """Names, camera-frame positions and a note."""
    if not people.has("pred_keypoints_3d", i):
        note = "no 3D joints in the file: its pelvis is taken to be that of the mean shape"
        return ("pelvis",), (translation + MEAN_PELVIS["smpl"])[None], [note]
    xyz = people.get("pred_keypoints_3d", i, -1, 3, finite=False) + translation
    if len(xyz) in (len(SMPL_JOINTS), len(SMPL_OUTPUT_JOINTS)):
        named = [(name, k) for k, name in enumerate(SMPL_OUTPUT_JOINTS[: len(xyz)]) if name is not None]
        return tuple(name for name, _ in named), xyz[[k for _, k in named]], []
    if len(xyz) not in _BODY25_FIRST:
        raise SourceFormatError(
            f"{people.where}: person {i}: pred_keypoints_3d must hold 44 joints (HMR2's; 25 or 49 are read "
            f"alike), 45 (of the smplx package) or 24 (SMPL's), got {len(xyz)}, whose order is not known"
        )
    return OPENPOSE25_OF_SMPL, xyz[:25], []


def _box(people: People, i: int) -> Array | None:
    if people.has("bbox", i):
        box = people.row("bbox", i).ravel()
        return box[:4] if box.size in (4, 5) else None
    if people.has("box_center", i) and people.has("box_size", i):
        center, half = people.get("box_center", i, 2), people.number("box_size", i) / 2
        return np.concatenate([center - half, center + half])
    return None
