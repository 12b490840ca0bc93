"""NLF (Neural Localizer Fields): joints, mesh and SMPL or SMPL-X parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.camera import Camera
from apu_contacts.sources._records import Array, People, Source, finite_joints, load_content
from apu_contacts.sources.checks import ConventionError
from apu_contacts.sources.conventions import MEAN_PELVIS, axis_angle
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError
from apu_contacts.sources.image_camera import beside_box, check_projection
from apu_contacts.sources.names import SMPL_JOINTS, SMPLX_JOINTS

_ROTATIONS = {24: "smpl", 52: "smplh", 55: "smplx"}
_KEYS = ("pose", "betas", "trans", "joints3d", "joints2d", "vertices3d", "boxes")
_UNITS = {"mm": 1000.0, "cm": 100.0, "m": 1.0}


def read_nlf(
    source: Source,
    image_size: Sequence[float],
    *,
    image: int = 0,
    unit: str = "mm",
    fov: float = 55.0,
    intrinsics: ArrayLike | None = None,
    allow_empty: bool = False,
) -> list[InitialEstimate]:
    """Return the people of one image of NLF's output dictionary (``detect_smpl``, ``detect_smpl_batched``).

    Read are ``pose``, ``betas``, ``trans``, ``joints3d`` and, where they are there, ``vertices3d``, ``boxes``
    (x, y, width, height, and a score): arrays of the people of one image, or lists of them with one entry an
    image, as the model returns them. Joints are in the camera frame, in millimetres. Where they come without
    parameters, the orientation is taken from the trunk.

    Args:
        source: ``.npz``, ``.pkl`` of NumPy arrays, or the dictionary (arrays or tensors).
        image_size: width and height in pixels.
        image: which image of a batch.
        unit: of ``joints3d`` and ``vertices3d``; ``trans`` is taken in the unit that puts the pelvis where
            the joints have it.
        fov: degrees over the longer side that NLF was told to assume (its default is 55).
        intrinsics: ``(3, 3)`` instead of ``fov``, if NLF was given a matrix.
        allow_empty: return an empty list for nobody instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError, ConventionError, NoPeopleError: as
            `apu_contacts.sources.read_hmr2`.
        ValueError: on an unknown unit.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_nlf
        >>> joints = np.random.default_rng(0).uniform(-800, 800, (1, 24, 3)) + [0, 0, 4000]  # millimetres
        >>> out = {"joints3d": joints, "pose": np.zeros((1, 72)), "betas": np.zeros((1, 10))}
        >>> (person,) = read_nlf({**out, "trans": joints[:, 0] / 1000}, image_size=(640, 480))
        >>> person.estimator, bool(np.allclose(person.joints[0], joints[0, 0] / 1000))
        ('nlf', True)
    """
    if unit not in _UNITS:
        raise ValueError(f"unit must be one of {', '.join(_UNITS)}, got {unit!r}")
    content, where = load_content(source)
    people = People(_of_image(content, image, where), where, {"joints3d": 2})
    if people.count == 0:
        if allow_empty:
            return []
        raise NoPeopleError(f"{where}: NLF found nobody in this image")
    camera = Camera.from_image_size(image_size[0], image_size[1], fov)
    if intrinsics is not None:
        camera = Camera.from_intrinsics(intrinsics)
    return people.each(lambda i: _person(people, i, camera, _UNITS[unit], image_size), "nlf")


def _of_image(content: object, image: int, where: str) -> object:
    """Return the entries of one image, where they are a batch's: a list of arrays, or an axis more."""
    if not isinstance(content, Mapping) or content.get("joints3d") is None:
        return content
    joints = content["joints3d"]
    batch = len(joints) if isinstance(joints, list | tuple) else 0
    nested = batch and _axes(joints[0]) == 3
    if not (nested or getattr(joints, "ndim", 0) == 4 or _is_ragged(joints)):
        return content
    if not 0 <= image < len(joints):
        raise ValueError(f"{where}: image {image} is none of the {len(joints)} of the batch")
    for key in _KEYS:
        value = content.get(key)
        if value is None:
            continue
        if not (_axes(value) > 0 and len(value) > image):
            raise SourceFormatError(f"{where}: {key} must have an entry for each image, as joints3d has")
    return {
        key: value[image] if key in _KEYS and value is not None else value for key, value in content.items()
    }


def _axes(value: Any) -> int:
    """How many axes an array, a tensor or nested lists have; 1 for lists of different lengths."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    if not isinstance(value, list | tuple):
        return 0
    return 1 + (_axes(value[0]) if value else 0)


def _is_ragged(joints: object) -> bool:
    """Images with different numbers of people, as NumPy saves them."""
    return isinstance(joints, np.ndarray) and joints.dtype == object and joints.ndim == 1


def _person(
    people: People, i: int, camera: Camera, per_metre: float, image_size: Sequence[float]
) -> InitialEstimate:
    from apu_contacts.sources.conventions import orientation_from_joints

    where = f"{people.where}: person {i}"
    notes: list[str] = []
    xyz = people.get("joints3d", i, -1, 3, finite=False) / per_metre
    if len(xyz) not in (len(SMPL_JOINTS), len(SMPLX_JOINTS)):
        raise SourceFormatError(
            f"{where}: joints3d must hold SMPL's 24 or SMPL-X's 55 joints, got {len(xyz)}; was NLF asked for "
            "another skeleton?"
        )
    model = "smpl" if len(xyz) == len(SMPL_JOINTS) else "smplx"
    names = SMPL_JOINTS[:22] if model == "smpl" else SMPLX_JOINTS
    if people.has("joints2d", i):
        pixels = people.get("joints2d", i, -1, 2, finite=False)
        if len(pixels) == len(xyz):
            check_projection(camera, xyz, pixels, image_size, where)
    pelvis = xyz[0]
    names, xyz = finite_joints(names, xyz[: len(names)], notes, where)
    parameters: dict[str, Array] = {}
    own: dict[str, Array] = {}
    if people.has("pose", i):
        pose = people.row("pose", i)
        count = pose.size // 3
        if count not in _ROTATIONS or pose.size != 3 * count:
            raise SourceFormatError(f"{where}: pose must hold 72, 156 or 165 numbers, got {pose.size}")
        pose = axis_angle(pose, count, f"{where}: pose").reshape(count, 3)
        parameters = {"global_orient": pose[0], "body_pose": pose[1:22].ravel()}
        if count > len(SMPL_JOINTS):
            # the fingers come last: 30 of SMPL-H's 52 rotations, and of SMPL-X's 55
            own["left_hand_pose"], own["right_hand_pose"] = pose[-30:-15].ravel(), pose[-15:].ravel()
        if people.has("betas", i):
            own["betas"] = people.row("betas", i).ravel()
        if people.has("trans", i) and np.isfinite(pelvis).all():
            own["transl"] = _translation(people.get("trans", i, 3), pelvis, model, where)
    else:
        orient = orientation_from_joints(names, xyz)
        if orient is not None:
            parameters["global_orient"] = orient
    box: Array | None = None
    score = 1.0
    if people.has("boxes", i):
        given = people.row("boxes", i).ravel()
        if given.size not in (4, 5):
            raise SourceFormatError(
                f"{where}: boxes must hold x, y, width, height and a score, got {given.size}"
            )
        box = np.concatenate([given[:2], given[:2] + given[2:4]])
        score = float(given[4]) if given.size == 5 else 1.0
    if box is not None:
        notes += beside_box(camera, xyz, box)
    vertices = people.mesh("vertices3d", i, notes, 1 / per_metre)
    return InitialEstimate(
        estimator="nlf",
        parameters=parameters,
        joint_names=names,
        joints=xyz,
        model=model,
        own=own,
        camera=camera,
        vertices=vertices,
        bbox=box,
        confidence=score,
        notes=tuple(notes),
        flat_hand_mean=True,  # a full pose: the rotations themselves
    ).with_projection()


def _translation(trans: Array, pelvis: Array, model: str, where: str) -> Array:
    """``trans`` in metres: the unit that agrees with the pelvis of the joints."""
    rest = MEAN_PELVIS[model]
    for factor in _UNITS.values():
        if float(np.linalg.norm(trans / factor + rest - pelvis)) < 0.3:
            metres: Array = trans / factor
            return metres
    raise ConventionError(
        f"{where}: trans {np.round(trans, 2).tolist()} puts the pelvis nowhere near that of joints3d, "
        f"{np.round(pelvis, 2).tolist()} m, in any unit: another frame, or another unit of joints3d?"
    )
