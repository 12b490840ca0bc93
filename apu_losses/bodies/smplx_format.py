"""Read body model files of the SMPL family: the free body's asset, a user's own SMPL-X, SMPL-H or SMPL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from apu_contacts.reading import read_array
from apu_losses.bodies.body_file import BodyArrays, BodyFileError, open_body_file
from apu_losses.bodies.families import BY_JOINTS, FAMILIES, SMPL, SMPLX, Family
from apu_losses.bodies.keypoints import Landmarks
from apu_losses.bodies.skinning import BodyData, HandSpace

JOINT_NAMES = SMPLX.joint_names

_SHAPE_SPACE = 300  # files with the whole shape space: 300 shape directions, then 100 of expression
_SHORT_SHAPE_SPACE = 10  # files of the first release: 10 shape directions, then 10 of expression


def read_body_file(
    source: str | Path | IO[bytes],
    *,
    name: str | None = None,
    kid_template: str | Path | NDArray[np.floating] | None = None,
    num_betas: int = 10,
    num_expression: int = 10,
    num_pca_comps: int | None = None,
    flat_hand_mean: bool = False,
) -> BodyData:
    """Read a body model file: SMPL-X (55 joints), SMPL-H (52) or SMPL (24), told apart by ``kintree_table``.

    Only arrays of numbers are read; the object arrays of official ``.npz`` files (``joint2num`` and others)
    are never unpickled, and a ``.pkl`` goes through a reader that admits nothing but arrays, chumpy's and
    SciPy's stand-ins (``apu_contacts.sources.read_model_pickle``). chumpy is not needed.

    ``shapedirs`` of SMPL-X is split as the smplx package does: of 400 directions the first 300 are shape and
    the rest expression; of 20 the first 10 are shape. Files of 300 (the smplx package would take expressions
    from among the shapes) or fewer than 20 directions hold shape alone. Expressions that are all zero are
    left out. In SMPL and SMPL-H all directions are shape.

    Args:
        source: path of the ``.npz`` or ``.pkl``, or an open binary ``.npz``.
        name: short name of the body; the file's stem if None.
        kid_template: path of ``smplx_kid_template.npy`` (``smpl_kid_template.npy`` for SMPL and SMPL-H) or
            the ``(V, 3)`` array itself; gives the body the parameter ``age``. None: the file's own key
            ``kid_template``, if it has one. The direction is (kid minus its mean vertex) minus the template,
            as in the smplx package.
        num_betas: number of shape coefficients, at most what the file holds.
        num_expression: number of expression coefficients, at most what the file holds.
        num_pca_comps: hands as this many PCA coefficients; None: as 45 axis-angle values.
        flat_hand_mean: False adds the file's mean hand pose to the hands, as the smplx package does.

    Returns:
        The arrays of the body.

    Raises:
        FileNotFoundError: if a path does not exist.
        BodyFileError: if the file is no such model; the message says why, and what it looks like instead.
    """
    label = str(source) if isinstance(source, str | Path) else name or "the file"
    with open_body_file(source, label) as archive:
        return _parse(
            archive,
            label,
            name or Path(label).stem,
            kid_template,
            num_betas,
            num_expression,
            num_pca_comps,
            flat_hand_mean,
        )


def _parse(
    archive: BodyArrays,
    label: str,
    name: str,
    kid_template: str | Path | NDArray[np.floating] | None,
    num_betas: int,
    num_expression: int,
    num_pca_comps: int | None,
    flat_hand_mean: bool,
) -> BodyData:
    template = _floats(archive.read("v_template", ("V", 3)))
    count = len(template)
    family = _family(archive, label, count)
    check_height(template, label)
    joints = len(family.joint_names)
    weights = _floats(archive.read("weights", (count, joints)))
    if abs(weights.sum(1) - 1).max() > 1e-2:
        worst = weights.sum(1)[abs(weights.sum(1) - 1).argmax()]
        raise BodyFileError(f"{label}: the weights of each vertex must sum to 1, found {worst:.3f}")
    faces = archive.read("f", ("F", 3)).astype(np.int64)
    if faces.min() < 0 or faces.max() >= count:
        raise BodyFileError(f"{label}: f names vertex {faces.max()} of {count}; faces of another mesh?")
    shape, expression = _split_directions(archive, label, family, count, num_betas, num_expression)
    age = None
    if kid_template is None and "kid_template" in archive:
        kid_template = archive.read("kid_template", (count, 3)).astype(np.float64)
    if kid_template is not None:
        age = age_direction(kid_template, template)
    has_hands = "left_hand_pose" in dict(family.pose_layout)
    if num_pca_comps is not None and not has_hands:
        raise ValueError(f"num_pca_comps must be None for {label}: {family.title} has no fingers")
    hands: list[HandSpace | None] = [None, None]
    if has_hands:
        hands = [_hand(archive, label, letter, num_pca_comps, flat_hand_mean) for letter in ("l", "r")]
    posedirs = (
        _floats(archive.read("posedirs", (count, 3, 9 * (joints - 1)))) if "posedirs" in archive else None
    )
    return BodyData(
        name=name,
        v_template=template,
        faces=faces,
        joint_names=family.joint_names,
        parents=_parents(archive, label, joints),
        joint_regressor=_floats(archive.read("J_regressor", (joints, count))),
        weights=weights,
        shapedirs=shape,
        age_direction=age,
        expressiondirs=expression,
        posedirs=posedirs,
        left_hand=hands[0],
        right_hand=hands[1],
        landmarks=_landmarks(archive, family, faces, weights),
        keypoint_joints=_keypoint_joints(archive, joints),
        family=family,
    )


def _floats(array: NDArray[np.generic]) -> NDArray[np.floating]:
    """float32 or float64, as stored; half precision is widened."""
    return array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)


def _family(archive: BodyArrays, label: str, count: int) -> Family:
    """Which of the bodies that can be read a file is, by its joints; which other model it is, if none."""
    others = {778: "MANO", 5023: "FLAME", 3889: "SMAL"}
    if count in others:
        raise BodyFileError(
            f"{label}: v_template has {count} vertices, so this is {others[count]}; "
            "a whole body is needed: SMPL-X, SMPL-H or SMPL, such as SMPLX_NEUTRAL.npz"
        )
    joints = archive.read("kintree_table", (2, "J")).shape[1]
    if joints not in BY_JOINTS:
        known = ", ".join(f"{family.title} {number}" for number, family in BY_JOINTS.items())
        raise BodyFileError(f"{label}: kintree_table has {joints} joints; {known}. Is this another model?")
    family = BY_JOINTS[joints]
    official = {each.vertex_count for each in FAMILIES.values()}
    if count in official and count != family.vertex_count:
        raise BodyFileError(
            f"{label}: v_template has {count} vertices, but kintree_table has the {joints} joints of "
            f"{family.title}, whose mesh has {family.vertex_count}; are these arrays of two models?"
        )
    return family


def check_height(template: NDArray[np.floating], label: str) -> None:
    """Refuse a body whose height along y is not that of a person in metres.

    Args:
        template: ``(V, 3)`` unposed body.
        label: what to call it in the message.

    Raises:
        BodyFileError: if the height is outside 0.4 to 2.5; the message names the likely unit or axis.
    """
    extent = np.ptp(template, axis=0)
    height = float(extent[1])
    if 0.4 <= height <= 2.5:
        return
    cause = "is this a whole body?"
    for factor, unit in (
        (1e-3, "millimetres"),
        (1e-2, "centimetres"),
        (0.0254, "inches"),
        (10.0, "decametres"),
    ):
        if 1.0 <= height * factor <= 2.2:
            cause = f"are these {unit}?"
            break
    if height < 0.4 <= float(extent[2]) <= 2.5:
        cause = f"it is {extent[2]:.2f} along z: is z the upward axis?"
    raise BodyFileError(
        f"{label}: the unposed body is {height:.4g} high along y, expected 0.4 to 2.5 metres; {cause}"
    )


def _parents(archive: BodyArrays, label: str, joints: int) -> tuple[int, ...]:
    table = archive.read("kintree_table", (2, joints)).astype(np.int64)
    parents = table[0].copy()
    parents[0] = -1  # files store 2**32 - 1
    if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, len(parents))).any():
        raise BodyFileError(f"{label}: kintree_table must name an earlier joint as the parent of each joint")
    return tuple(parents.tolist())


def _split_directions(
    archive: BodyArrays, label: str, family: Family, count: int, num_betas: int, num_expression: int
) -> tuple[NDArray[np.floating], NDArray[np.floating] | None]:
    dirs = _floats(archive.read("shapedirs", (count, 3, "S")))
    total = dirs.shape[2]
    if family is not SMPLX:
        split = total
    elif total >= _SHAPE_SPACE:
        split = _SHAPE_SPACE
    elif total >= 2 * _SHORT_SHAPE_SPACE:
        split = _SHORT_SHAPE_SPACE
    else:
        split = total
    for argument, value, available in (
        ("num_betas", num_betas, split),
        ("num_expression", num_expression, None),
    ):
        if value < 0 or (available is not None and value > available):
            raise ValueError(
                f"{argument} must lie in [0, {available}] for {label} (shapedirs {dirs.shape}), got {value}"
            )
    expression = dirs[:, :, split : split + num_expression]
    has_expression = expression.shape[2] > 0 and bool(expression.any())
    return dirs[:, :, :num_betas].copy(), expression.copy() if has_expression else None


def age_direction(
    kid_template: str | Path | NDArray[np.floating], template: NDArray[np.floating]
) -> NDArray[np.floating]:
    """``(V, 3)`` offset from the mean body to the infant, as the smplx package computes it.

    Args:
        kid_template: path of a ``.npy`` or the ``(V, 3)`` array.
        template: ``(V, 3)`` mean body.

    Raises:
        FileNotFoundError: if the path does not exist.
        BodyFileError: if the array does not fit the body.
    """
    label = "kid_template"
    if isinstance(kid_template, str | Path):
        label = str(kid_template)
        if not Path(kid_template).is_file():
            raise FileNotFoundError(f"kid_template: file not found: {kid_template}")
        kid_template = read_array(kid_template, BodyFileError)
    kid = np.asarray(kid_template, dtype=np.float64)
    if kid.shape != template.shape:
        infants = {SMPL.vertex_count: ("SMPL", "smplx"), SMPLX.vertex_count: ("SMPL-X", "smpl")}
        cause = ""
        if len(kid) in infants:
            cause = "; this is the infant of {}, use {}_kid_template.npy".format(*infants[len(kid)])
        raise BodyFileError(
            f"{label}: the infant must have shape {template.shape} like the body, got {kid.shape}{cause}"
        )
    check_height(kid, label)
    return kid - kid.mean(0) - template


def _hand(
    archive: BodyArrays, label: str, letter: str, num_pca_comps: int | None, flat_hand_mean: bool
) -> HandSpace:
    key = f"hands_mean{letter}"
    model_mean = archive.read(key, (45,)).astype(np.float64) if key in archive else np.zeros(45)
    mean = np.zeros(45) if flat_hand_mean else model_mean
    if num_pca_comps is None:
        return HandSpace(mean, None, model_mean)
    components = archive.read(f"hands_components{letter}", ("C", 45)).astype(np.float64)
    if not 1 <= num_pca_comps <= len(components):
        raise ValueError(f"num_pca_comps must lie in [1, {len(components)}] for {label}, got {num_pca_comps}")
    return HandSpace(mean, components[:num_pca_comps], model_mean)


def _landmarks(
    archive: BodyArrays, family: Family, faces: NDArray[np.int64], weights: NDArray[np.floating]
) -> Landmarks:
    """Return the file's own named landmarks; without them, what is known of the family's mesh."""
    if "landmark_names" in archive:
        names = archive.read("landmark_names", ("L",))
        triangles = archive.read("landmark_faces", (len(names),)).astype(np.int64)
        bary = archive.read("landmark_bary", (len(names), 3)).astype(np.float64)
        return Landmarks(tuple(str(n) for n in names), faces[triangles], bary)
    lmk_faces = lmk_bary = None
    if "lmk_faces_idx" in archive and "lmk_bary_coords" in archive:
        lmk_faces = archive.read("lmk_faces_idx", ("L",)).astype(np.int64)
        lmk_bary = archive.read("lmk_bary_coords", (len(lmk_faces), 3)).astype(np.float64)
    return surface_landmarks(family, faces, weights, lmk_faces, lmk_bary)


def _keypoint_joints(archive: BodyArrays, joints: int) -> dict[str, NDArray[np.floating]]:
    """Return the file's own keypoints that are combinations of joints; official files have none."""
    if "keypoint_names" not in archive:
        return {}
    names = archive.read("keypoint_names", ("K",))
    rows = archive.read("keypoint_joint_weights", (len(names), joints)).astype(np.float64)
    return {str(name): row for name, row in zip(names, rows, strict=True)}


def surface_landmarks(
    family: Family,
    faces: NDArray[np.int64],
    weights: NDArray[np.floating],
    lmk_faces: NDArray[np.int64] | None = None,
    lmk_bary: NDArray[np.float64] | None = None,
) -> Landmarks:
    """Landmarks of a mesh with the official vertex numbering; none for a mesh with another numbering.

    A mesh of another size counts as numbered like the official one only if every known surface point is
    skinned to the joint where it belongs (finger tips to their last joint, toes to the foot, the nose to the
    head).

    Args:
        family: which numbering.
        faces: ``(F, 3)`` triangles.
        weights: ``(V, J)`` skinning weights.
        lmk_faces: ``(51,)`` triangles of the face landmarks, iBUG 17 to 67.
        lmk_bary: ``(51, 3)`` their barycentric weights.
    """
    if len(weights) != family.vertex_count and not _numbered_like(family, weights):
        return Landmarks.none()
    points = Landmarks.at_vertices(family.surface_points)
    if lmk_faces is None or lmk_bary is None or len(lmk_faces) != 51:
        return points
    names = tuple(f"face_{17 + i}" for i in range(51))
    return points.joined(Landmarks(names, faces[lmk_faces], lmk_bary))


_HOMES: Mapping[str, tuple[str, ...]] = {
    "nose": ("head", "jaw"),
    "eye": ("head", "jaw", "left_eye_smplhf", "right_eye_smplhf"),
    "ear": ("head", "jaw"),
    "toe": ("{side}_foot", "{side}_ankle"),
    "heel": ("{side}_foot", "{side}_ankle"),
}


def _numbered_like(family: Family, weights: NDArray[np.floating]) -> bool:
    if len(weights) <= max(family.surface_points.values()):
        return False
    for point, vertex in family.surface_points.items():
        side, part = point.split("_")[0], point.split("_")[-1]
        homes = _HOMES.get(part, (f"{point}3", f"{side}_hand"))
        names = [home.format(side=side) for home in homes]
        columns = [family.joint_names.index(name) for name in names if name in family.joint_names]
        if weights[vertex, columns].sum() < 0.5:
            return False
    return True
