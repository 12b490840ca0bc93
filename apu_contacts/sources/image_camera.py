"""The camera that a file's own 2D and 3D points tell of, and whether what was given agrees with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.camera import Camera
from apu_contacts.sources.checks import ConventionError
from apu_contacts.sources.errors import SourceFormatError

Array = NDArray[np.float64]
TOLERANCE = 0.01
"""Share of the image's longer side by which points may miss their pixels: a file in half precision misses by
0.001, a picture cut off by a tenth by 0.05."""
MIN_POINTS = 6


def solve_camera(points: ArrayLike, pixels: ArrayLike, where: str) -> Camera:
    """Return the pinhole that projects ``(N, 3)`` points of the camera frame to ``(N, 2)`` pixels best.

    Focal length and principal point enter linearly: ``pixel = focal * xy / z + center``.

    Raises:
        SourceFormatError: if there are fewer than 6 points in front of the camera, or they do not determine
            it, or no pinhole fits to `TOLERANCE`.
    """
    xyz, uv = np.asarray(points, dtype=np.float64), np.asarray(pixels, dtype=np.float64)
    good = np.isfinite(xyz).all(1) & np.isfinite(uv).all(1)
    good &= np.where(good, xyz[:, 2], 0.0) > 0
    xyz, uv = xyz[good], uv[good]
    if len(xyz) < MIN_POINTS:
        raise SourceFormatError(f"{where}: {len(xyz)} points are too few to solve the camera from")
    rays = xyz[:, :2] / xyz[:, 2:]
    spread = rays - rays.mean(0)
    focal = float((spread * (uv - uv.mean(0))).sum() / max(float((spread**2).sum()), 1e-12))
    center = uv.mean(0) - focal * rays.mean(0)
    missed = float(np.abs(focal * rays + center - uv).mean())
    extent = float(np.ptp(uv, axis=0).max())
    if not focal > 0 or missed > 0.02 * max(extent, 1.0):
        raise ConventionError(
            f"{where}: no camera projects its 3D keypoints onto its 2D keypoints (the best misses by "
            f"{missed:.3g} px): points of another frame, of several pictures, or in coordinates of the crop?"
        )
    return Camera(focal, (float(center[0]), float(center[1])))


def check_projection(
    camera: Camera, points: ArrayLike, pixels: ArrayLike, image_size: Sequence[float], where: str
) -> None:
    """Whether a camera projects ``(N, 3)`` points onto ``(N, 2)`` pixels of the same file.

    Raises:
        ConventionError: if they lie further apart than `TOLERANCE` of the image's longer side on average.
    """
    xyz, uv = np.asarray(points, dtype=np.float64), np.asarray(pixels, dtype=np.float64)
    good = np.isfinite(xyz).all(1) & np.isfinite(uv).all(1)
    good &= np.where(good, xyz[:, 2], 0.0) > 0
    if not good.any():
        return
    missed = float(np.linalg.norm(camera.project(xyz[good]) - uv[good], axis=-1).mean())
    if missed > TOLERANCE * max(image_size):
        raise ConventionError(
            f"{where}: its points project {missed:.0f} px away from its own pixels with the camera of an "
            f"image of {image_size[0]:g} x {image_size[1]:g}: is this another picture's size, a resized or a "
            "cropped picture, or another camera?"
        )


def check_in_image(pixels: ArrayLike, image_size: Sequence[float], where: str) -> None:
    """Whether an image of this size shows any of the ``(N, 2)`` pixels of a file's people.

    Raises:
        ConventionError: if less than a tenth of them lie in it.
    """
    uv, size = np.asarray(pixels, dtype=np.float64), np.asarray(image_size, dtype=np.float64)
    uv = uv[np.isfinite(uv).all(1)]
    inside = ((uv >= 0) & (uv <= size)).all(1)
    if len(uv) and inside.mean() < _SEEN:
        low, high = uv.min(0), uv.max(0)
        raise ConventionError(
            f"{where}: its people lie at ({low[0]:.0f}, {low[1]:.0f}) to ({high[0]:.0f}, {high[1]:.0f})"
            f" px, beside an image of {size[0]:g} x {size[1]:g}: another picture's size, or a crop whose "
            "pixels were not moved along?"
        )


_SEEN = 0.1
"""Share of all keypoints that a picture of these people shows at least; one of two people may be cut off."""


def beside_box(camera: Camera, joints: ArrayLike, box: ArrayLike) -> list[str]:
    """Return a note if a person, as a camera sees them, lies beside their own box; else none.

    Args:
        camera: of the full image.
        joints: ``(J, 3)`` in its frame, or the pelvis alone.
        box: ``(4,)`` x0, y0, x1, y1 in pixels.
    """
    xyz, corners = np.asarray(joints, dtype=np.float64), np.asarray(box, dtype=np.float64)
    seen = xyz[xyz[:, 2] > 0]
    size = float((corners[2:] - corners[:2]).max())
    if not len(seen) or not size > 0:
        return []
    apart = np.abs(np.median(camera.project(seen), axis=0) - (corners[:2] + corners[2:]) / 2).max()
    return [] if apart <= size else [_beside(float(apart), f"their own box of {size:.0f} px", camera)]


def beside_pixel(camera: Camera, point: ArrayLike, pixel: ArrayLike, name: str) -> list[str]:
    """Return a note if a camera projects one point ``(3,)`` elsewhere than the pixel ``(2,)`` of the same
    file.
    """
    xyz = np.asarray(point, dtype=np.float64)
    if not xyz[2] > 0:
        return []
    apart = float(np.linalg.norm(camera.project(xyz) - np.asarray(pixel, dtype=np.float64)))
    return [] if apart <= 0.02 * 2 * max(camera.center) else [_beside(apart, f"their own {name}", camera)]


def _beside(apart: float, what: str, camera: Camera) -> str:
    width, height = 2 * camera.center[0], 2 * camera.center[1]
    return (
        f"projects {apart:.0f} px beside {what}, with the camera of an image of {width:.0f} x {height:.0f}: "
        "the size of another picture, a resized or a cropped picture, or another camera?"
    )


def center_of_image(camera: Camera, image_size: Sequence[float], where: str) -> str:
    """Return a note on a principal point off the middle of the image; empty where it is the middle.

    Raises:
        ConventionError: if it is the middle of an image of another size: then the pixels are that image's.
    """
    size = np.asarray(image_size, dtype=np.float64)
    middle = np.array(camera.center) * 2 / size
    if np.abs(middle - 1).max() < 2e-3:
        return ""
    if (middle > 0).all() and abs(middle[0] / middle[1] - 1) < 5e-3:
        other = np.array(camera.center) * 2
        raise ConventionError(
            f"{where}: its pixels are those of an image of {other[0]:.0f} x {other[1]:.0f}, not of "
            f"{size[0]:g} x {size[1]:g}: was the picture resized? Give intrinsics= if it was cropped instead"
        )
    return (
        f"the principal point ({camera.center[0]:.1f}, {camera.center[1]:.1f}) is not the middle of the "
        "image: a cropped picture, or a calibrated camera"
    )
