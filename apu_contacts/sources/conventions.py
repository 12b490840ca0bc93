"""Where tools disagree on what the same numbers mean, each difference converted in one place.

The house's side of each conversion: axis-angle vectors in radians, metres, the OpenCV camera frame (+X right,
+Y down, +Z forward), a pinhole camera in pixels of the full image, and smplx's translation, which is added
after a rotation about the pelvis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.camera import Camera
from apu_contacts.sources.checks import check_matrices, check_vectors
from apu_contacts.sources.errors import SourceFormatError

Array = NDArray[np.float64]

MEAN_PELVIS: dict[str, Array] = {
    "smpl": np.array([0.0, -0.23, 0.03]),
    "smplh": np.array([0.0, -0.23, 0.03]),
    "smplx": np.array([0.0, -0.35, 0.01]),
    "free": np.array([0.0, -0.06, -0.02]),
}
"""Where the pelvis of the mean shape lies in the rest pose, to a centimetre. A person's own differs by a few
centimetres; it is `J0`, the first row of ``J_regressor @ shaped vertices``."""


# Rotations


def axis_angle(value: ArrayLike, joints: int, where: str) -> Array:
    """``(3 * joints,)`` axis-angle from axis-angle or rotation matrices of any layout.

    Args:
        value: ``3 * joints`` numbers (axis-angle), or ``9 * joints`` (matrices, row by row).
        joints: how many rotations there are.
        where: for messages.

    Raises:
        SourceFormatError: on another size, matrices that are no rotations, or angles in degrees.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.size == 9 * joints:
        return matrices_to_axis_angle(array.reshape(joints, 3, 3), where).ravel()
    if array.size != 3 * joints:
        hint = ""
        if array.size == 6 * joints:
            hint = "; 6D rotations exist in a row and a column form: convert them where it is known which"
        elif array.size in (6, 12) and joints == 15:
            hint = "; these are PCA coefficients of a hand: see pca_to_hand_pose"
        raise SourceFormatError(
            f"{where}: expected {joints} rotations, as {3 * joints} (axis-angle) or {9 * joints} (matrices) "
            f"numbers, got shape {array.shape}{hint}"
        )
    vectors = array.reshape(joints, 3)
    check_vectors(vectors, where)
    return vectors.ravel()


def matrices_to_axis_angle(matrices: ArrayLike, where: str = "matrices") -> Array:
    """``(..., 3, 3)`` rotation matrices to ``(..., 3)`` axis-angle, angles in [0, pi].

    Raises:
        SourceFormatError: if a matrix is no rotation.
    """
    from scipy.spatial.transform import Rotation

    array = np.asarray(matrices, dtype=np.float64)
    check_matrices(array, where)
    result: Array = Rotation.from_matrix(array.reshape(-1, 3, 3)).as_rotvec().reshape(array.shape[:-1])
    return result


def axis_angle_to_matrices(vectors: ArrayLike) -> Array:
    """``(..., 3)`` axis-angle to ``(..., 3, 3)``."""
    from scipy.spatial.transform import Rotation

    array = np.asarray(vectors, dtype=np.float64)
    result: Array = Rotation.from_rotvec(array.reshape(-1, 3)).as_matrix().reshape(*array.shape, 3)
    return result


def pca_to_hand_pose(coefficients: ArrayLike, components: ArrayLike, mean: ArrayLike) -> Array:
    """``(45,)`` axis-angle of a hand's 15 joints from its first K PCA coefficients.

    Args:
        coefficients: ``(K,)``.
        components: ``(>= K, 45)``, a body model's ``hands_componentsl`` or ``hands_componentsr``.
        mean: ``(45,)`` its ``hands_meanl`` or ``hands_meanr``; zeros for a model with ``flat_hand_mean``.
    """
    c, basis = np.asarray(coefficients, dtype=np.float64).ravel(), np.asarray(components, dtype=np.float64)
    if basis.ndim != 2 or basis.shape[1] != 45 or len(basis) < len(c):
        raise ValueError(f"components must have shape (>= {len(c)}, 45), got {basis.shape}")
    pose: Array = np.asarray(mean, dtype=np.float64).reshape(45).copy()
    pose += c @ basis[: len(c)]
    return pose


def hand_pose_to_pca(pose: ArrayLike, components: ArrayLike, mean: ArrayLike, count: int = 45) -> Array:
    """``(count,)`` PCA coefficients nearest to a hand's pose ``(45,)``; the reverse of `pca_to_hand_pose`."""
    basis = np.asarray(components, dtype=np.float64)[:count]
    offset = np.asarray(pose, dtype=np.float64).reshape(45) - np.asarray(mean, dtype=np.float64).reshape(45)
    return np.asarray(np.linalg.lstsq(basis.T, offset, rcond=None)[0], dtype=np.float64)


def orientation_from_joints(names: Sequence[str], joints: ArrayLike) -> Array | None:
    """``(3,)`` axis-angle of the trunk: what turns the rest pose (+Y up, +X to its left) into these joints.

    Needs both hips and both shoulders; None without them, or where they lie on one line.

    Args:
        names: of the joints.
        joints: ``(J, 3)`` positions in any frame.
    """
    xyz = dict(zip(names, np.asarray(joints, dtype=np.float64), strict=True))
    wanted = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    if any(name not in xyz for name in wanted):
        return None
    left_hip, right_hip, left_shoulder, right_shoulder = (xyz[name] for name in wanted)
    up = (left_shoulder + right_shoulder) - (left_hip + right_hip)
    left = (left_shoulder - right_shoulder) + (left_hip - right_hip)
    forward = np.cross(left, up)
    lengths = np.linalg.norm(up), np.linalg.norm(forward)
    if min(lengths) < 1e-9:
        return None
    y, z = up / lengths[0], forward / lengths[1]
    return matrices_to_axis_angle(np.stack([np.cross(y, z), y, z], axis=1))


# Translations


def origin_to_pelvis_translation(translation: ArrayLike, rotation: ArrayLike, pelvis: ArrayLike) -> Array:
    """smplx's ``transl`` of a body that another tool rotates about the origin: ``Th + (R - I) J0``.

    smplx turns the body about its pelvis and then adds ``transl``; EasyMocap turns it about the origin of the
    rest pose. Forgetting the difference moves a person who is turned upside down by 0.7 m.

    Args:
        translation: ``(..., 3)`` Th, metres.
        rotation: ``(..., 3)`` axis-angle of the whole body.
        pelvis: ``(3,)`` or ``(..., 3)`` J0, the pelvis of the shaped body in the rest pose.
    """
    th, j0 = np.asarray(translation, dtype=np.float64), np.asarray(pelvis, dtype=np.float64)
    turned = np.einsum("...ij,...j->...i", axis_angle_to_matrices(rotation), np.broadcast_to(j0, th.shape))
    moved: Array = th + turned - j0
    return moved


def pelvis_to_origin_translation(translation: ArrayLike, rotation: ArrayLike, pelvis: ArrayLike) -> Array:
    """Return the reverse of `origin_to_pelvis_translation`: ``transl - (R - I) J0``."""
    transl = np.asarray(translation, dtype=np.float64)
    moved: Array = 2 * transl - origin_to_pelvis_translation(transl, rotation, pelvis)
    return moved


def to_camera_frame(
    rotation: ArrayLike, translation: ArrayLike, pelvis: ArrayLike, extrinsic: tuple[ArrayLike, ArrayLike]
) -> tuple[Array, Array]:
    """``global_orient`` and ``transl`` of smplx's convention, from a world frame to the camera's.

    The pelvis moves as a point does, ``R_c (J0 + transl) + t_c``; so ``transl`` alone does not.

    Args:
        rotation, translation: ``(3,)`` each, in the world.
        pelvis: ``(3,)`` J0 of the shaped body.
        extrinsic: R_c ``(3, 3)`` and t_c ``(3,)``: world point to camera point.
    """
    turn, shift = (np.asarray(part, dtype=np.float64) for part in extrinsic)
    check_matrices(turn, "extrinsic[0]")
    j0 = np.asarray(pelvis, dtype=np.float64)
    orient = matrices_to_axis_angle(turn @ axis_angle_to_matrices(rotation))
    transl: Array = turn @ (j0 + np.asarray(translation, dtype=np.float64)) + shift - j0
    return orient, transl


# Cameras


def weak_perspective_to_translation(
    weak: ArrayLike, box_center: ArrayLike, box_size: ArrayLike, camera: Camera
) -> Array:
    """``(..., 3)`` translation in the full camera from a crop's weak-perspective camera.

    HMR-like networks see a square crop and give (s, tx, ty): the body, scaled by s and moved by (tx, ty),
    lies in a crop of side 2. Depth is then ``2 f / (s b)`` for a crop of b pixels.

    Args:
        weak: ``(..., 3)`` s, tx, ty.
        box_center: ``(..., 2)`` pixels of the full image.
        box_size: ``(...)`` b, pixels of the full image (not the network's 224 or 256).
        camera: of the full image.

    Raises:
        ValueError: if a scale is not positive.
    """
    s, tx, ty = np.moveaxis(np.asarray(weak, dtype=np.float64), -1, 0)
    size = np.asarray(box_size, dtype=np.float64)
    if not ((s > 0).all() and (size > 0).all()):
        raise ValueError("weak-perspective scale and box size must be positive; is the camera (tx, ty, s)?")
    offset = np.asarray(box_center, dtype=np.float64) - np.array(camera.center)
    side = s * size / 2
    result: Array = np.stack(
        [tx + offset[..., 0] / side, ty + offset[..., 1] / side, camera.focal / side], -1
    )
    return result


def translation_to_weak_perspective(
    translation: ArrayLike, box_center: ArrayLike, box_size: ArrayLike, camera: Camera
) -> Array:
    """``(..., 3)`` s, tx, ty: the reverse of `weak_perspective_to_translation`."""
    x, y, z = np.moveaxis(np.asarray(translation, dtype=np.float64), -1, 0)
    side = camera.focal / z
    offset = np.asarray(box_center, dtype=np.float64) - np.array(camera.center)
    s = 2 * side / np.asarray(box_size, dtype=np.float64)
    result: Array = np.stack([s, x - offset[..., 0] / side, y - offset[..., 1] / side], -1)
    return result


def change_camera(anchor: ArrayLike, old: Camera, new: Camera) -> tuple[Array, Array]:
    """Where a body goes when its image is explained by another camera: ``(3,)`` new anchor, ``(3, 3)`` turn.

    The anchor (the pelvis) keeps its pixel, and the body its size in the image: depth grows with the focal
    length. What a camera sees of a body is how it is turned against the ray towards it; that ray changes with
    the focal length, so the body is turned by the same rotation. A point p of the body goes to
    ``turn @ (p - anchor) + new_anchor``. There and back is the identity.
    """
    start = np.asarray(anchor, dtype=np.float64)
    if not start[2] > 0:
        raise ValueError(f"anchor must lie in front of the camera, got z = {start[2]:g}")
    depth = start[2] * new.focal / old.focal
    moved = np.append((old.project(start) - np.array(new.center)) / new.focal, 1.0) * depth
    return moved, _turn(start, moved)


def _turn(start: Array, end: Array) -> Array:
    """Return the smallest rotation of one direction into another."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    x, y, z = np.cross(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # Both look forward, so they are never opposite.
    turn: Array = np.eye(3) + cross + cross @ cross / (1 + a @ b)
    return turn
