"""Multi-HMR: SMPL-X for everybody in an image, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.sources._records import Array, People, Source, finite_joints, load_content
from apu_contacts.sources.checks import checked_age
from apu_contacts.sources.conventions import axis_angle
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceFormatError
from apu_contacts.sources.image_camera import beside_pixel, check_projection
from apu_contacts.sources.multihmr_anny import ROTATIONS as ANNY_ROTATIONS
from apu_contacts.sources.multihmr_anny import anny_person
from apu_contacts.sources.names import SMPLX_JOINTS, SMPLX_OUTPUT_JOINTS

_ROTATIONS = 53  # root, 21 of the body, 15 of each hand, jaw
_PARTS = {"left_hand_pose": (22, 37), "right_hand_pose": (37, 52), "jaw_pose": (52, 53)}


def read_multihmr(
    source: Source,
    image_size: Sequence[float],
    *,
    input_size: float = 896,
    fov: float = 60.0,
    allow_empty: bool = False,
) -> list[InitialEstimate]:
    """Return the people of Multi-HMR's output: its list of dictionaries, one a person, saved as it is.

    Read are ``rotvec (53, 3)`` (root, body, left hand, right hand, jaw), ``shape``, ``expression``, the
    pelvis ``transl_pelvis`` and the joints ``j3d`` (older: ``j3d_smplx``) in the camera frame, and, where
    they are there, ``v3d`` (``verts_smplx``), ``K (3, 3)``, ``loc``, ``scores``. ``transl`` is the position
    of the head and is not used.

    Multi-HMR sees the image scaled to fit a square and padded around its middle, so that its focal length is
    that of the square: it is scaled back by ``max(W, H) / input_size``.

    Of the checkpoint for the Anny body, which has ``rotvec (163, 3)`` and the bones' places in ``j3d``, the
    50 joints that SMPL-X has too are read, and the mesh; ``raw`` holds the rotations by bone.

    Args:
        source: ``.npz``, ``.npy``, ``.pkl`` of NumPy arrays, or the list (arrays or tensors).
        image_size: width and height of the image in pixels.
        input_size: side of the square in pixels, 896 for the largest model.
        fov: degrees; Multi-HMR's ``--fov``, used where the records have no ``K``.
        allow_empty: return an empty list for nobody instead of raising.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError, ConventionError, NoPeopleError: as
            `apu_contacts.sources.read_hmr2`.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_multihmr
        >>> record = {"rotvec": np.zeros((53, 3)), "shape": np.zeros(11), "transl_pelvis": [0, 0, 3.0]}
        >>> (person,) = read_multihmr([record], image_size=(640, 480))
        >>> person.joint_names, person.joints.tolist(), person.parameters["age"].tolist()
        (('pelvis',), [[0.0, 0.0, 3.0]], [0.0])
    """
    content, where = load_content(source)
    people = People(content, where, {"rotvec": 2})
    if people.count == 0:
        if allow_empty:
            return []
        raise NoPeopleError(f"{where}: Multi-HMR found nobody in this image")
    width, height = (float(n) for n in image_size)
    camera = Camera.from_image_size(width, height, fov)
    if people.has("K"):
        camera = Camera(people.shared("K", 3, 3)[0, 0] * max(width, height) / input_size, camera.center)
    size = (width, height)
    return people.each(lambda i: _person(people, i, camera, size, input_size), "multihmr")


def _person(
    people: People, i: int, camera: Camera, image_size: tuple[float, float], input_size: float
) -> InitialEstimate:
    where = f"{people.where}: person {i}"
    if people.row("rotvec", i).size == 3 * ANNY_ROTATIONS:
        anny = anny_person(people, i, camera)
        if people.has("j2d", i):
            pixels = padded_to_image(people.get("j2d", i, -1, 2, finite=False), image_size, input_size)
            check_projection(camera, people.get("j3d", i, -1, 3, finite=False), pixels, image_size, where)
        return anny
    pose = axis_angle(people.row("rotvec", i), _ROTATIONS, f"{where}: rotvec").reshape(_ROTATIONS, 3)
    own: dict[str, Array] = {name: pose[a:b].ravel() for name, (a, b) in _PARTS.items()}
    shape = people.row("shape", i).ravel()
    own["betas"] = shape[:10]
    parameters = {"global_orient": pose[0], "body_pose": pose[1:22].ravel()}
    if len(shape) == 11:
        # Models trained with children have the age after the ten coefficients.
        parameters["age"] = checked_age(shape[10:], f"{where}: shape", slack=0.1)
    if people.has("expression", i):
        own["expression"] = people.row("expression", i).ravel()
    notes: list[str] = []
    joints = people.first("j3d", "j3d_smplx", index=i)
    if joints is not None:
        xyz = people.get(joints, i, -1, 3, finite=False)
        if len(xyz) < len(SMPLX_JOINTS):
            raise SourceFormatError(f"{where}: {joints} must hold SMPL-X's 127 joints, got {len(xyz)}")
        names: tuple[str, ...] = SMPLX_OUTPUT_JOINTS[: len(xyz)]
        if people.has("j2d", i):
            pixels = people.get("j2d", i, -1, 2, finite=False)
            if len(pixels) == len(xyz):
                pixels = padded_to_image(pixels, image_size, input_size)
                check_projection(camera, xyz, pixels, image_size, where)
        names, xyz = finite_joints(names, xyz[: len(names)], notes, where)
    elif people.has("transl_pelvis", i):
        names, xyz = ("pelvis",), people.get("transl_pelvis", i, 3)[None]
    else:
        raise SourceFormatError(
            f"{where}: neither j3d nor transl_pelvis is there; transl alone is the position of the head"
        )
    if people.has("transl", i) and people.has("loc", i):
        # the head, as it was placed, and its pixel in the padded square
        pixel = padded_to_image(people.get("loc", i, 2), image_size, input_size)
        notes += beside_pixel(camera, people.get("transl", i, 3), pixel, "loc")
    mesh = people.first("v3d", "verts_smplx", index=i)
    return InitialEstimate(
        estimator="multihmr",
        parameters=parameters,
        joint_names=names,
        joints=xyz,
        model="smplx",
        own=own,
        camera=camera,
        vertices=people.mesh(mesh, i, notes),
        confidence=people.number("scores", i) if people.has("scores", i) else 1.0,
        notes=tuple(notes),
        # its SMPL-X is made with flat_hand_mean=True
        flat_hand_mean=True,
    ).with_projection()


def padded_to_image(pixels: Array, image_size: Sequence[float], input_size: float) -> Array:
    """``(..., 2)`` pixels of the padded square (``loc``, ``j2d``) in pixels of the image."""
    size = np.asarray(image_size, dtype=np.float64)
    scale = size.max() / input_size
    moved: Array = (np.asarray(pixels, dtype=np.float64) - input_size / 2) * scale + size / 2
    return moved
