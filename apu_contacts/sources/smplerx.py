"""SMPLer-X and SMPLest-X: SMPL-X parameters from a crop, one file a person."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.camera import Camera
from apu_contacts.sources._json import numbers, read_json_object
from apu_contacts.sources._records import Array, People, Source, as_array, load_content
from apu_contacts.sources.conventions import MEAN_PELVIS, axis_angle
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import SourceFormatError, SourceMissingError, SourceWarning

# smplx's name: (the model's own output name, number of rotations)
_POSES = {
    "global_orient": ("smplx_root_pose", 1),
    "body_pose": ("smplx_body_pose", 21),
    "left_hand_pose": ("smplx_lhand_pose", 15),
    "right_hand_pose": ("smplx_rhand_pose", 15),
    "jaw_pose": ("smplx_jaw_pose", 1),
}
_SHAPES = {"betas": "smplx_shape", "expression": "smplx_expr"}
_COMMON = ("global_orient", "body_pose")
_CAMERA = {"focal", "princpt"}


def read_smplerx(
    source: Source, meta: str | Path | None = None, *, camera: Camera | None = None
) -> InitialEstimate:
    """One person of SMPLer-X's or SMPLest-X's output.

    Its inference leaves ``smplx/00001_0.npz`` (smplx's parameter names, ``transl``) and ``meta/00001_0.json``
    (``focal``, ``princpt``, ``bbox`` as x, y, width, height) for each person. The dictionary that the network
    returns (``smplx_root_pose``, ..., ``cam_trans``) is read too. The translation belongs to the camera of
    the crop, whose principal point is the middle of the box: without it the person cannot be placed.

    There are no 3D joints in the files. The pelvis is taken to be that of the mean shape.

    Args:
        source: the ``.npz``, or the dictionary.
        meta: the ``.json``; where it is not given, the dictionary's own ``focal`` and ``princpt``, and then
            the file beside ``source`` in the folder ``meta``.
        camera: the crop's, instead of ``meta``.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError, ConventionError: as
            `apu_contacts.sources.read_hmr2`.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Camera, read_smplerx
        >>> sizes = {"global_orient": 3, "body_pose": 63, "betas": 10}
        >>> record = {name: np.zeros((1, size)) for name, size in sizes.items()}
        >>> record["transl"] = np.array([[0.0, 0.0, 5.0]])
        >>> read_smplerx(record, camera=Camera(900.0, (320.0, 240.0))).own["transl"].tolist()
        [0.0, 0.0, 5.0]
    """
    content, where = load_content(source)
    bbox: Array | None = None
    if camera is None and meta is None and isinstance(content, Mapping) and set(content) >= _CAMERA:
        camera, bbox = _own_camera(content, where)
    if camera is None:
        if meta is None:
            if not isinstance(source, str | Path):
                raise SourceFormatError(f"{where}: give meta, or camera: the camera of the crop is needed")
            path = Path(source)
            meta = path.parent.parent / "meta" / f"{path.stem}.json"
        camera, bbox = _read_meta(meta)
    people = People(_one_row(content), where, {"global_orient": 0, "smplx_root_pose": 0})
    poses: dict[str, Array] = {}
    for name, (other, count) in _POSES.items():
        key = people.first(name, other)
        if key is None and name in _COMMON:
            raise SourceFormatError(f"{where}: {name} (or {other}) is missing")
        if key is not None:
            poses[name] = axis_angle(people.row(key, 0), count, f"{where}: {key}")
    own = {name: pose for name, pose in poses.items() if name not in _COMMON}
    for name, other in _SHAPES.items():
        key = people.first(name, other)
        if key is not None:
            own[name] = people.row(key, 0).ravel()
    key = people.first("transl", "cam_trans")
    if key is None:
        raise SourceFormatError(f"{where}: transl (or cam_trans) is missing")
    own["transl"] = people.get(key, 0, 3)
    return InitialEstimate(
        estimator="smplerx",
        parameters={name: poses[name] for name in _COMMON},
        joint_names=("pelvis",),
        joints=(own["transl"] + MEAN_PELVIS["smplx"])[None],
        model="smplx",
        own=own,
        camera=camera,
        bbox=bbox,
        notes=("no 3D joints in the file: its pelvis is taken to be that of the mean shape",),
    ).checked(where)


def _one_row(content: object) -> object:
    """Return the arrays of one person as the only record of a list, whatever their leading axes are."""
    return [content] if isinstance(content, dict) else content


def _own_camera(content: Mapping[str, Any], where: str) -> tuple[Camera, Array | None]:
    """Return the camera that a pickled dictionary has beside the pose, and its box (x, y, width, height)."""
    values = {key: as_array(content[key], f"{where}: {key}").ravel() for key in _CAMERA}
    box = as_array(content["bbox"], f"{where}: bbox").ravel() if content.get("bbox") is not None else None
    corners = None if box is None or box.size != 4 else np.concatenate([box[:2], box[:2] + box[2:]])
    return pinhole(values["focal"], values["princpt"], where), corners


def pinhole(focal: Array, center: Array, where: str) -> Camera:
    """Return the camera of ``focal`` (one number or two) and ``princpt``.

    Raises:
        SourceFormatError: on other sizes, or focal lengths that are not positive or differ by 1 %.
    """
    if focal.size not in (1, 2) or center.size != 2:
        raise SourceFormatError(
            f"{where}: focal and princpt must be two numbers each, got {focal.size} and {center.size}"
        )
    if not focal.min() > 0:
        raise SourceFormatError(f"{where}: focal must be positive, got {focal.tolist()}")
    if abs(focal[0] - focal[-1]) > 0.01 * focal.max():
        raise SourceFormatError(f"{where}: focal must be the same for x and y, got {focal.tolist()}")
    return Camera(float(focal.mean()), (float(center[0]), float(center[1])))


def _read_meta(path: str | Path) -> tuple[Camera, Array]:
    content = read_json_object(path)
    values = {
        key: numbers(content.get(key), (length,), f"{path}: {key}")
        for key, length in (("focal", 2), ("princpt", 2), ("bbox", 4))
    }
    x, y, width, height = values["bbox"]
    return pinhole(values["focal"], values["princpt"], str(path)), np.array([x, y, x + width, y + height])


def read_smplerx_folder(folder: str | Path, frame: str | int = 1) -> list[InitialEstimate]:
    """All people of one image in SMPLer-X's output folder, in the order of their numbers.

    Args:
        folder: the one that holds ``smplx`` and ``meta``.
        frame: the image's number, or the stem of its files without the person's.

    Raises:
        SourceMissingError: if there is no file of that image.
        SourceFormatError, ConventionError: as `read_smplerx`.
    """
    stem = f"{frame:05d}" if isinstance(frame, int) else frame
    found: Sequence[Path] = sorted(
        (path for path in Path(folder).glob(f"smplx/{stem}_*.npz") if path.stem.rsplit("_", 1)[1].isdigit()),
        key=lambda path: int(path.stem.rsplit("_", 1)[1]),
    )
    if not found:
        raise SourceMissingError(f"{Path(folder) / 'smplx'}: no file {stem}_*.npz")
    found_people = []
    errors: list[SourceFormatError] = []
    for path in found:
        try:
            found_people.append(read_smplerx(path))
        except (SourceFormatError, SourceMissingError) as error:
            # one bad file is one missing person
            errors.append(error if isinstance(error, SourceFormatError) else SourceFormatError(str(error)))
            found_people.append(InitialEstimate.absent("smplerx", str(error)))
    if len(errors) == len(found):
        raise errors[0]
    for said in errors:
        warnings.warn(f"left out: {said}", SourceWarning, stacklevel=2)
    return found_people
