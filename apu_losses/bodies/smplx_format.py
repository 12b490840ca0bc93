"""Read bodies in SMPL-X format: the free body's asset and a user's own ``SMPLX_*.npz``."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from apu_losses.bodies.keypoints import SMPLX_SURFACE_POINTS, SMPLX_VERTEX_COUNT, Landmarks
from apu_losses.bodies.skinning import BodyData, HandSpace

# fmt: off
JOINT_NAMES = (
    "pelvis",
    "left_hip", "right_hip", "spine1",
    "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3",
    "left_foot", "right_foot",
    "neck", "left_collar", "right_collar",
    "head",
    "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow",
    "left_wrist", "right_wrist",
    "jaw", "left_eye_smplhf", "right_eye_smplhf",
    "left_index1", "left_index2", "left_index3",
    "left_middle1", "left_middle2", "left_middle3",
    "left_pinky1", "left_pinky2", "left_pinky3",
    "left_ring1", "left_ring2", "left_ring3",
    "left_thumb1", "left_thumb2", "left_thumb3",
    "right_index1", "right_index2", "right_index3",
    "right_middle1", "right_middle2", "right_middle3",
    "right_pinky1", "right_pinky2", "right_pinky3",
    "right_ring1", "right_ring2", "right_ring3",
    "right_thumb1", "right_thumb2", "right_thumb3",
)
# fmt: on

_SHAPE_SPACE = 300  # files with the whole shape space: 300 shape directions, then 100 of expression
_SHORT_SHAPE_SPACE = 10  # files of the first release: 10 shape directions, then 10 of expression


class BodyFileError(ValueError):
    """A body model file that cannot be used; the message names the file, the fault and the likely cause."""


def read_smplx_file(
    source: str | Path | IO[bytes],
    *,
    name: str | None = None,
    kid_template: str | Path | NDArray[np.floating] | None = None,
    num_betas: int = 10,
    num_expression: int = 10,
    num_pca_comps: int | None = None,
    flat_hand_mean: bool = False,
) -> BodyData:
    """Read a body in SMPL-X format.

    Only arrays of numbers are read, one by one; the object arrays of official files (``joint2num`` and
    others) are never unpickled.

    ``shapedirs`` is split as the smplx package does: of 400 directions the first 300 are shape and the rest
    expression; of 20 the first 10 are shape. Files of 300 (the smplx package would take expressions from
    among the shapes) or fewer than 20 directions hold shape alone. Expressions that are all zero are left
    out.

    Args:
        source: path of the ``.npz``, or an open binary file.
        name: short name of the body; the file's stem if None.
        kid_template: path of ``smplx_kid_template.npy`` or the ``(V, 3)`` array itself; gives the body the
            parameter ``age``. None: the file's own key ``kid_template``, if it has one. The direction is
            (kid minus its mean vertex) minus the template, as in the smplx package.
        num_betas: number of shape coefficients, at most what the file holds.
        num_expression: number of expression coefficients, at most what the file holds.
        num_pca_comps: hands as this many PCA coefficients; None: as 45 axis-angle values.
        flat_hand_mean: False adds the file's mean hand pose to the hands, as the smplx package does.

    Returns:
        The arrays of the body.

    Raises:
        FileNotFoundError: if a path does not exist.
        BodyFileError: if the file is no SMPL-X model; the message says why, and what it looks like instead.
    """
    label = str(source) if isinstance(source, str | Path) else name or "the file"
    with _Archive(source, label) as archive:
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


class _Archive:
    """The arrays of an ``.npz``, read when asked for, never unpickled."""

    def __init__(self, source: str | Path | IO[bytes], label: str) -> None:
        self.label = label
        if isinstance(source, str | Path):
            _check_path(Path(source))
        try:
            loaded = np.load(source, allow_pickle=False)
        except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
            raise BodyFileError(
                f"{label}: not a NumPy .npz archive ({error}); is the download complete?"
            ) from error
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise BodyFileError(f"{label}: a single array of shape {loaded.shape}, expected an .npz archive")
        self._file = loaded
        self.keys = frozenset(loaded.files)

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def read(self, key: str, shape: tuple[int | str, ...]) -> NDArray[np.generic]:
        """An array of the given shape; strings in the shape stand for any size."""
        expected = "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
        if key not in self.keys:
            raise BodyFileError(
                f"{self.label}: key {key!r} of shape {expected} is missing; "
                f"the file holds {sorted(self.keys)[:20]}. Is this an SMPL-X model file?"
            )
        try:
            array: NDArray[np.generic] = self._file[key]
        except ValueError as error:
            raise BodyFileError(
                f"{self.label}: key {key!r} holds pickled objects, expected an array of shape {expected}; "
                "pickles are not read. Download the .npz release of the model, or pass an smplx object"
            ) from error
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise BodyFileError(f"{self.label}: key {key!r} is damaged ({error}); download again") from error
        fits = array.ndim == len(shape) and all(
            isinstance(want, str) or want == have for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise BodyFileError(f"{self.label}: {key} must have shape {expected}, got {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BodyFileError(f"{self.label}: {key} holds values that are not finite")
        return array


def _check_path(path: Path) -> None:
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise BodyFileError(
            f"{path}: .pkl files are not supported, because reading a pickle runs code. Use the .npz of the "
            "same model (SMPLX_NEUTRAL.npz), or load it with the smplx package and give load_body the object"
        )
    if not path.is_file():
        raise FileNotFoundError(f"body model file not found: {path}")


def _parse(
    archive: _Archive,
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
    _check_kind(archive, label, count)
    check_height(template, label)
    joints = len(JOINT_NAMES)
    weights = _floats(archive.read("weights", (count, joints)))
    if abs(weights.sum(1) - 1).max() > 1e-2:
        worst = weights.sum(1)[abs(weights.sum(1) - 1).argmax()]
        raise BodyFileError(f"{label}: the weights of each vertex must sum to 1, found {worst:.3f}")
    faces = archive.read("f", ("F", 3)).astype(np.int64)
    if faces.min() < 0 or faces.max() >= count:
        raise BodyFileError(f"{label}: f names vertex {faces.max()} of {count}; faces of another mesh?")
    shape, expression = _split_directions(archive, label, count, num_betas, num_expression)
    age = None
    if kid_template is None and "kid_template" in archive:
        kid_template = archive.read("kid_template", (count, 3)).astype(np.float64)
    if kid_template is not None:
        age = age_direction(kid_template, template)
    hands = []
    for letter in ("l", "r"):
        hands.append(_hand(archive, label, letter, num_pca_comps, flat_hand_mean))
    posedirs = (
        _floats(archive.read("posedirs", (count, 3, 9 * (joints - 1)))) if "posedirs" in archive else None
    )
    return BodyData(
        name=name,
        v_template=template,
        faces=faces,
        joint_names=JOINT_NAMES,
        parents=_parents(archive, label),
        joint_regressor=_floats(archive.read("J_regressor", (joints, count))),
        weights=weights,
        shapedirs=shape,
        age_direction=age,
        expressiondirs=expression,
        posedirs=posedirs,
        left_hand=hands[0],
        right_hand=hands[1],
        landmarks=_landmarks(archive, faces, weights),
    )


def _floats(array: NDArray[np.generic]) -> NDArray[np.floating]:
    """float32 or float64, as stored; half precision is widened."""
    return array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)


def _check_kind(archive: _Archive, label: str, count: int) -> None:
    """Say which other model a file is, from the numbers of vertices that the families have."""
    others = {6890: "SMPL or SMPL-H", 778: "MANO", 5023: "FLAME", 3889: "SMAL"}
    if count in others:
        raise BodyFileError(
            f"{label}: v_template has {count} vertices, so this is {others[count]}; "
            "an SMPL-X file (10475 vertices, 55 joints) is needed, such as SMPLX_NEUTRAL.npz"
        )
    if "kintree_table" in archive:
        joints = archive.read("kintree_table", (2, "J")).shape[1]
        if joints != len(JOINT_NAMES):
            known = {24: " (SMPL has 24)", 52: " (SMPL-H has 52)"}.get(joints, "")
            raise BodyFileError(
                f"{label}: kintree_table has {joints} joints{known}, SMPL-X has {len(JOINT_NAMES)}"
            )


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


def _parents(archive: _Archive, label: str) -> tuple[int, ...]:
    table = archive.read("kintree_table", (2, len(JOINT_NAMES))).astype(np.int64)
    parents = table[0].copy()
    parents[0] = -1  # files store 2**32 - 1
    if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, len(parents))).any():
        raise BodyFileError(f"{label}: kintree_table must name an earlier joint as the parent of each joint")
    return tuple(parents.tolist())


def _split_directions(
    archive: _Archive, label: str, count: int, num_betas: int, num_expression: int
) -> tuple[NDArray[np.floating], NDArray[np.floating] | None]:
    dirs = _floats(archive.read("shapedirs", (count, 3, "S")))
    total = dirs.shape[2]
    if total >= _SHAPE_SPACE:
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
        try:
            kid_template = np.load(kid_template, allow_pickle=False)
        except ValueError as error:
            raise BodyFileError(f"{label}: not a .npy of numbers ({error})") from error
    kid = np.asarray(kid_template, dtype=np.float64)
    if kid.shape != template.shape:
        cause = "; this is the infant of SMPL, use smplx_kid_template.npy" if len(kid) == 6890 else ""
        raise BodyFileError(
            f"{label}: the infant must have shape {template.shape} like the body, got {kid.shape}{cause}"
        )
    check_height(kid, label)
    return kid - kid.mean(0) - template


def _hand(
    archive: _Archive, label: str, letter: str, num_pca_comps: int | None, flat_hand_mean: bool
) -> HandSpace:
    mean = np.zeros(45)
    if not flat_hand_mean and f"hands_mean{letter}" in archive:
        mean = archive.read(f"hands_mean{letter}", (45,)).astype(np.float64)
    if num_pca_comps is None:
        return HandSpace(mean)
    components = archive.read(f"hands_components{letter}", ("C", 45)).astype(np.float64)
    if not 1 <= num_pca_comps <= len(components):
        raise ValueError(f"num_pca_comps must lie in [1, {len(components)}] for {label}, got {num_pca_comps}")
    return HandSpace(mean, components[:num_pca_comps])


def _landmarks(archive: _Archive, faces: NDArray[np.int64], weights: NDArray[np.floating]) -> Landmarks:
    """The file's own named landmarks; without them, what is known of the SMPL-X mesh."""
    if "landmark_names" in archive:
        names = archive.read("landmark_names", ("L",))
        triangles = archive.read("landmark_faces", (len(names),)).astype(np.int64)
        bary = archive.read("landmark_bary", (len(names), 3)).astype(np.float64)
        return Landmarks(tuple(str(n) for n in names), faces[triangles], bary)
    lmk_faces = lmk_bary = None
    if "lmk_faces_idx" in archive and "lmk_bary_coords" in archive:
        lmk_faces = archive.read("lmk_faces_idx", ("L",)).astype(np.int64)
        lmk_bary = archive.read("lmk_bary_coords", (len(lmk_faces), 3)).astype(np.float64)
    return smplx_landmarks(faces, weights, lmk_faces, lmk_bary)


def smplx_landmarks(
    faces: NDArray[np.int64],
    weights: NDArray[np.floating],
    lmk_faces: NDArray[np.int64] | None,
    lmk_bary: NDArray[np.float64] | None,
) -> Landmarks:
    """Landmarks of a mesh with SMPL-X's vertex numbering; none for a mesh with another numbering.

    A mesh of another size counts as numbered like SMPL-X only if every known surface point is skinned to the
    joint where it belongs (finger tips to their last joint, toes to the foot, the nose to the head).

    Args:
        faces: ``(F, 3)`` triangles.
        weights: ``(V, 55)`` skinning weights.
        lmk_faces: ``(51,)`` triangles of the face landmarks, iBUG 17 to 67.
        lmk_bary: ``(51, 3)`` their barycentric weights.
    """
    if len(weights) != SMPLX_VERTEX_COUNT and not _numbered_like_smplx(weights):
        return Landmarks.none()
    points = Landmarks.at_vertices(SMPLX_SURFACE_POINTS)
    if lmk_faces is None or lmk_bary is None or len(lmk_faces) != 51:
        return points
    names = tuple(f"face_{17 + i}" for i in range(51))
    return points.joined(Landmarks(names, faces[lmk_faces], lmk_bary))


def _numbered_like_smplx(weights: NDArray[np.floating]) -> bool:
    if len(weights) <= max(SMPLX_SURFACE_POINTS.values()):
        return False
    homes: Mapping[str, tuple[str, ...]] = {
        "nose": ("head", "jaw"),
        "eye": ("head", "jaw", "left_eye_smplhf", "right_eye_smplhf"),
        "ear": ("head", "jaw"),
        "toe": ("foot", "ankle"),
        "heel": ("foot", "ankle"),
    }
    for point, vertex in SMPLX_SURFACE_POINTS.items():
        side, _, part = point.rpartition("_")
        if part in ("nose", "eye", "ear"):
            names = homes[part]
        elif part in ("toe", "heel"):
            names = tuple(f"{side.split('_')[0]}_{home}" for home in homes[part])
        else:
            names = (f"{point}3",)
        if weights[vertex, [JOINT_NAMES.index(n) for n in names]].sum() < 0.5:
            return False
    return True
