"""SAM 3D Body: MHR's keypoints and mesh, without SMPL's parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.camera import Camera
from apu_contacts.sources._records import People, Source, finite_joints, load_content
from apu_contacts.sources.conventions import orientation_from_joints
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import NoPeopleError, SourceError, SourceFormatError, SourceMissingError
from apu_contacts.sources.image_camera import (
    center_of_image,
    check_in_image,
    check_projection,
    solve_camera,
)
from apu_contacts.sources.names import MHR70_JOINTS

_ENDINGS = (".npz", ".npy", ".pkl", ".pickle", ".json")


def read_sam3d_body(
    source: Source,
    image_size: Sequence[float],
    *,
    focal: float | None = None,
    intrinsics: ArrayLike | None = None,
    allow_empty: bool = False,
) -> list[InitialEstimate]:
    """Return the people of SAM 3D Body's output: the list of dictionaries that ``process_one_image`` returns.

    Read are ``pred_keypoints_3d (70, 3)`` and ``pred_cam_t (3,)``, whose sum is the camera frame, in metres,
    ``focal_length``, and, where they are there, ``pred_vertices`` (MHR's mesh), ``pred_keypoints_2d`` and
    ``bbox``. ``pred_global_rots`` are not in the camera's axes, unlike the points, and are not read. MHR's
    pose is no SMPL pose and is not converted: a fit starts from the 64 named keypoints (the
    body, the feet, both hands) and the orientation of the trunk. The mesh comes along in ``vertices``, for
    terms that need no parameters.

    The camera is, in this order: ``intrinsics``; what ``pred_keypoints_2d`` and the 3D keypoints say, focal
    length and principal point; ``focal`` or ``focal_length`` with the principal point in the middle. Where
    two of these are there, they must agree.

    Args:
        source: ``.npz``, ``.npy``, ``.pkl`` of NumPy arrays, or the list itself, also as the package sam3d
            wraps it, ``{"task", "instances"}``; or a folder or a list of files, one a person, of one picture.
            Files of a folder are in the order of their names.
        image_size: width and height in pixels.
        focal: focal length in pixels, where the file has neither ``focal_length`` nor 2D keypoints.
        intrinsics: ``(3, 3)`` of a calibrated camera, in pixels.
        allow_empty: return an empty list for nobody instead of raising.

    Returns:
        One estimate a person; one without joints, with the reason in ``notes``, for a person whose values
        cannot be used, as long as others can.

    Warns:
        SourceWarning: for each such person.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError, ConventionError, NoPeopleError: as
            `apu_contacts.sources.read_hmr2`; ConventionError if the file's 2D keypoints tell of another
            camera, or of an image of another size.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import read_sam3d_body
        >>> points = np.random.default_rng(0).uniform(-0.8, 0.8, (70, 3))
        >>> record = {"pred_keypoints_3d": points, "pred_cam_t": np.array([0.0, 0.0, 4.0])}
        >>> (person,) = read_sam3d_body([record], image_size=(640, 480), focal=900.0)
        >>> person.camera, person.joints.shape
        (Camera(focal=900.0, center=(320.0, 240.0)), (64, 3))
    """
    content, where, broken = _load(source)
    people = People(content, where, {"pred_keypoints_3d": 2})
    if people.count == 0:
        if allow_empty:
            return []
        raise NoPeopleError(f"{where}: SAM 3D Body found nobody in this image")
    camera, note = _camera(people, image_size, focal, intrinsics)

    def build(i: int) -> InitialEstimate:
        if i in broken:
            raise broken[i]
        return _person(people, i, image_size, camera, note, focal)

    return people.each(build, "sam3d")


def own_camera(path: str | Path) -> Camera | None:
    """Return the camera that the 2D and 3D keypoints of a file's first person tell of; None without them.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as `read_sam3d_body`.
    """
    content, where, _ = _load(path)
    people = People(content, where, {"pred_keypoints_3d": 2})
    if not people.count or not people.has("pred_keypoints_2d", 0):
        return None
    pixels = people.get("pred_keypoints_2d", 0, -1, 2, finite=False)[: len(MHR70_JOINTS)]
    return solve_camera(_points(people, 0), pixels, where)


def _load(source: Source) -> tuple[Any, str, dict[int, SourceFormatError]]:
    """Return the records of a file, or of all files of a folder or a list; what is wrong with files, by
    record.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        files = sorted(p for p in Path(source).iterdir() if p.suffix.lower() in _ENDINGS)
        if not files:
            raise SourceMissingError(f"{source}: no file of a person in this folder ({', '.join(_ENDINGS)})")
        return _load_files(files, str(source))
    if isinstance(source, list | tuple) and source and all(isinstance(p, str | Path) for p in source):
        return _load_files([Path(p) for p in source], ", ".join(map(str, source)))
    return (*load_content(source), {})


def _load_files(files: Sequence[Path], where: str) -> tuple[list[Any], str, dict[int, SourceFormatError]]:
    """All records; a file that cannot be read is one empty record, and only an error if none can be."""
    records: list[Any] = []
    broken: dict[int, SourceFormatError] = {}
    for file in files:
        try:
            records += _records(file)
        except SourceError as error:
            said = error if isinstance(error, SourceFormatError) else SourceFormatError(str(error))
            broken[len(records)] = said
            records.append({})
    if broken and len(broken) == len(records):
        raise broken[0]
    return records, where, broken


def _records(file: Path) -> Sequence[Any]:
    content, where = load_content(file)
    while isinstance(content, Mapping) and len(content) == 1:
        (content,) = content.values()  # np.savez(path, results=...)
    if isinstance(content, Mapping) and isinstance(content.get("instances"), list):
        content = content["instances"]  # the package sam3d: {"task": "body", "instances": [...]}
    people = content if isinstance(content, list | tuple) else [content]
    if not all(isinstance(person, Mapping) for person in people):
        raise SourceFormatError(f"{where}: expected the dictionary of a person, or a list of them")
    for person in people:
        People([person], where, {"pred_keypoints_3d": 2})  # another tool's file is named as such
    return people


def _points(people: People, i: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(70, 3)`` keypoints in the camera frame; NaN where the file has it."""
    points = people.get("pred_keypoints_3d", i, -1, 3, finite=False)
    if len(points) < len(MHR70_JOINTS):
        raise SourceFormatError(
            f"{people.where}: person {i}: pred_keypoints_3d must hold {len(MHR70_JOINTS)} keypoints, "
            f"got {len(points)}"
        )
    moved: np.ndarray[Any, np.dtype[np.float64]] = points[: len(MHR70_JOINTS)] + people.get(
        "pred_cam_t", i, 3
    )
    return moved


def _pixels(people: People, i: int) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    if not people.has("pred_keypoints_2d", i):
        return None
    pixels = people.row("pred_keypoints_2d", i, finite=False)
    pixels = pixels.reshape(-1, pixels.shape[-1])[:, :2] if pixels.ndim else pixels.reshape(0, 2)
    pixels = pixels[: len(MHR70_JOINTS)]
    if pixels.shape != (len(MHR70_JOINTS), 2) or not np.nanmax(np.abs(pixels), initial=0) > 0:
        return None  # another set of points, or places that were never filled in
    return pixels


def _camera(
    people: People, image_size: Sequence[float], focal: float | None, intrinsics: ArrayLike | None
) -> tuple[Camera | None, str]:
    """Return the camera of the picture, and a note; None where each person's ``focal_length`` must do."""
    if intrinsics is not None:
        return Camera.from_intrinsics(intrinsics), ""
    points, pixels = [], []
    for i in range(people.count):
        try:
            xyz, uv = _points(people, i), _pixels(people, i)
        except SourceFormatError:
            continue  # said when this person is read
        if uv is not None and np.median(xyz[:, 2]) > 0:
            points.append(xyz)
            pixels.append(uv)
    if not points:
        return None, ""
    check_in_image(np.concatenate(pixels), image_size, people.where)
    camera = _solved(points, pixels, people.where)
    return camera, center_of_image(camera, image_size, people.where)


def _solved(points: list[Any], pixels: list[Any], where: str) -> Camera:
    """Return the camera of all people; if somebody's points do not fit in, that of the first whose do."""
    try:
        return solve_camera(np.concatenate(points), np.concatenate(pixels), where)
    except SourceFormatError as error:
        for xyz, uv in zip(points, pixels, strict=True):
            with contextlib.suppress(SourceFormatError):
                return solve_camera(xyz, uv, where)
        raise error from None


def _person(
    people: People,
    i: int,
    image_size: Sequence[float],
    camera: Camera | None,
    note: str,
    focal: float | None,
) -> InitialEstimate:
    where = f"{people.where}: person {i}"
    points, pixels = _points(people, i), _pixels(people, i)
    middle = (image_size[0] / 2, image_size[1] / 2)
    stated = people.number("focal_length", i) if people.has("focal_length", i) else focal
    if camera is None:
        if stated is None:
            raise SourceFormatError(
                f"{where}: focal_length is missing, and pred_keypoints_2d, from which it could be solved: "
                "give focal= in pixels, or intrinsics="
            )
        camera = Camera(stated, middle)
    elif stated is not None:
        # a focal length that was made up shows where it must meet the file's own pixels
        check_projection(Camera(stated, camera.center), points, _project(camera, points), image_size, where)
    if pixels is not None:
        check_projection(camera, points, pixels, image_size, where)
    notes = [note] if note else []
    named = [(name, k) for k, name in enumerate(MHR70_JOINTS) if name is not None]
    names, xyz = finite_joints([n for n, _ in named], points[[k for _, k in named]], notes, where)
    orient = orientation_from_joints(names, xyz)
    vertices = people.mesh("pred_vertices", i, notes)
    return InitialEstimate(
        estimator="sam3d",
        parameters={} if orient is None else {"global_orient": orient},
        joint_names=names,
        joints=xyz,
        model="mhr",
        camera=camera,
        vertices=None if vertices is None else vertices + people.get("pred_cam_t", i, 3),
        bbox=np.asarray(people.get("bbox", i, 4)) if people.has("bbox", i) else None,
        notes=tuple(notes),
    ).with_projection()


def _project(
    camera: Camera, points: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    good = np.isfinite(points).all(1) & (np.nan_to_num(points[:, 2]) > 0)
    pixels = np.full((len(points), 2), np.nan)
    pixels[good] = camera.project(points[good])
    return pixels
