"""A z-buffer in NumPy: which triangle each pixel sees.

All pixels of all triangles' bounding boxes are laid out flat, tested at once, and reduced to the nearest
by one `numpy.minimum.at` on keys of depth and face. There is no OpenGL, no compilation and no dependence on
the order of triangles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apu_losses.viz.mesh import FloatArray

NEAR = 1e-3
"""Triangles with a corner nearer than this many metres, or behind the camera, are not drawn."""

# Fragments tested at a time: bounds the memory to some hundred MB for any mesh and image.
_CHUNK = 1 << 21
_NOTHING = np.iinfo(np.uint64).max


class Fragments(NamedTuple):
    """What the pixels that see a triangle see, P of them.

    Attributes:
        row, column: ``(P,)`` the pixel.
        face: ``(P,)`` the nearest triangle at the pixel's centre.
        barycentric: ``(P, 3)`` weights of its corners at the point that is seen (perspective-correct).
        depth: ``(P,)`` metres along the optical axis.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    face: NDArray[np.int64]
    barycentric: FloatArray
    depth: FloatArray


def rasterize(
    vertices: FloatArray,
    faces: NDArray[np.int64],
    focal: FloatArray,
    center: FloatArray,
    width: int,
    height: int,
) -> Fragments:
    """Find the nearest triangle at the centre of every pixel.

    Args:
        vertices: ``(V, 3)`` metres, OpenCV camera frame.
        faces: ``(F, 3)`` vertex ids; both sides of a triangle are seen.
        focal: ``(2,)`` focal lengths in pixels.
        center: ``(2,)`` principal point in pixels from the top-left corner of the image.
        width, height: of the image in pixels; the centre of pixel (row, column) is (column + 0.5, row + 0.5).

    Returns:
        The pixels that see something, row by row. At equal depth the lower face id wins.
    """
    z = vertices[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = vertices[:, :2] / z[:, None] * focal + center
    drawable = np.isfinite(xy).all(1) & (z > NEAR)
    ids = np.flatnonzero(drawable[faces].all(1)) if len(faces) else np.zeros(0, dtype=np.int64)

    corners = xy[faces[ids]]
    low = np.maximum(np.ceil(corners.min(1) - 0.5), 0)
    high = np.minimum(np.floor(corners.max(1) - 0.5), [width - 1, height - 1])
    extent = np.maximum(high - low + 1, 0).astype(np.int64)
    count = extent[:, 0] * extent[:, 1]
    seen = count > 0
    ids, low, extent, count = ids[seen], low[seen].astype(np.int64), extent[seen], count[seen]

    nearest = np.full(width * height, _NOTHING, dtype=np.uint64)
    for chunk in _chunks(count):
        triangle, pixel_x, pixel_y = _bounding_box_pixels(low[chunk], extent[chunk], count[chunk])
        face = ids[chunk][triangle]
        weights, inside = _screen_barycentric(xy[faces[face]], pixel_x, pixel_y)
        face, weights = face[inside], weights[inside]
        depth = 1.0 / (weights / z[faces[face]]).sum(1)
        # a positive float's bits order as the float does, so the smallest key is the nearest triangle
        key = depth.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32) | face.astype(
            np.uint64
        )
        np.minimum.at(nearest, pixel_y[inside] * width + pixel_x[inside], key)

    pixel = np.flatnonzero(nearest != _NOTHING)
    face = (nearest[pixel] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    row, column = pixel // width, pixel % width
    weights, _ = _screen_barycentric(xy[faces[face]], column, row)
    over_z = weights / z[faces[face]]
    depth = 1.0 / over_z.sum(1)
    return Fragments(row, column, face, over_z * depth[:, None], depth)


def _chunks(count: NDArray[np.int64]) -> list[slice]:
    """Consecutive slices of the triangles with about `_CHUNK` fragments each."""
    if not len(count):
        return []
    part = np.cumsum(count) // _CHUNK
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(count)], strict=True)]


def _bounding_box_pixels(
    low: NDArray[np.int64], extent: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For every pixel of every box: the index of the box, and the pixel's x and y."""
    box = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    dy, dx = np.divmod(within, extent[box, 0])
    return box, low[box, 0] + dx, low[box, 1] + dy


def _screen_barycentric(
    corners: FloatArray, pixel_x: NDArray[np.int64], pixel_y: NDArray[np.int64]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Weights ``(P, 3)`` of pixel centres in triangles ``(P, 3, 2)`` on the screen; if they lie inside."""
    x, y = pixel_x + 0.5, pixel_y + 0.5
    (ax, ay), (bx, by), (cx, cy) = (corners[:, i].T for i in range(3))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
        b = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
    c = 1 - a - b
    # a triangle seen edge-on has no area: its weights are NaN or infinite, and it hides nothing
    inside: NDArray[np.bool_] = (a >= 0) & (b >= 0) & (c >= 0)
    return np.stack([a, b, c], axis=1), inside
