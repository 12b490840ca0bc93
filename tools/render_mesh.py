"""A small software renderer: orthographic views of a mesh with a colour per vertex, for the docs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def look(direction: str | Array, up: Array | None = None) -> Array:
    """``(3, 3)`` rows right, up, towards the viewer, who stands in ``direction`` from the body."""
    named = {
        "front": (0, 0, 1),
        "back": (0, 0, -1),
        "left": (1, 0, 0),
        "right": (-1, 0, 0),
        "above": (0, 1, 0),
    }
    named["below"] = (0, -1, 0)
    towards = np.asarray(named[direction] if isinstance(direction, str) else direction, dtype=np.float64)
    towards = towards / np.linalg.norm(towards)
    upward = np.array([0.0, 1.0, 0.0]) if up is None else np.asarray(up, dtype=np.float64)
    if abs(towards @ upward) > 0.99:
        upward = np.array([0.0, 0.0, 1.0])
    right = np.cross(upward, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])


def render(
    vertices: Array,
    faces: NDArray[np.int64],
    colors: Array,
    view: Array,
    low: Array,
    high: Array,
    pixels_per_metre: float,
    oversample: int = 2,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draws a mesh with the colour of the nearest corner in each triangle, so that labels keep sharp borders.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``.
        colors: ``(V, 3)`` in [0, 1].
        view: from `look`.
        low, high: ``(2,)`` window in view coordinates (right, up), metres.
        pixels_per_metre: scale of the result.
        oversample: each pixel is the mean of this number squared of samples.

    Returns:
        The picture ``(H, W, 3)`` on white and the nearest vertex of each sample ``(H * s, W * s)``, -1
        outside.
    """
    scale = pixels_per_metre * oversample
    width, height = (np.round((np.asarray(high) - low) * pixels_per_metre).astype(int)) * oversample
    points = vertices @ view.T
    xy = np.stack([(points[:, 0] - low[0]) * scale, (high[1] - points[:, 1]) * scale], 1)
    depth = np.full((height, width), -np.inf)
    nearest = np.full((height, width), -1, dtype=np.int64)
    shade = np.zeros((height, width))
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    light = np.array([0.25, 0.45, 0.85]) / np.linalg.norm([0.25, 0.45, 0.85])
    brightness = 0.45 + 0.6 * np.clip(normals @ light, 0, 1)
    for index in np.flatnonzero(normals[:, 2] > 0):
        face = faces[index]
        tri = xy[face]
        x0, y0 = np.maximum(np.ceil(tri.min(0) - 0.5), 0).astype(int)
        x1, y1 = np.minimum(np.floor(tri.max(0) - 0.5), (width - 1, height - 1)).astype(int)
        if x1 < x0 or y1 < y0:
            continue
        px, py = np.meshgrid(np.arange(x0, x1 + 1) + 0.5, np.arange(y0, y1 + 1) + 0.5)
        (ax, ay), (bx, by), (cx, cy) = tri
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0:
            continue
        wb = ((px - ax) * (cy - ay) - (cx - ax) * (py - ay)) / area
        wc = ((bx - ax) * (py - ay) - (px - ax) * (by - ay)) / area
        bary = np.stack([1 - wb - wc, wb, wc])
        z = np.tensordot(points[face, 2], bary, 1)
        window = (slice(y0, y1 + 1), slice(x0, x1 + 1))
        win = (bary.min(0) >= -1e-9) & (z > depth[window])
        depth[window] = np.where(win, z, depth[window])
        nearest[window] = np.where(win, face[bary.argmax(0)], nearest[window])
        shade[window] = np.where(win, brightness[index], shade[window])
    image = np.where((nearest >= 0)[..., None], colors[nearest] * shade[..., None], 1.0)
    rows, columns = height // oversample, width // oversample
    small = image.reshape(rows, oversample, columns, oversample, 3).mean((1, 3))
    return (np.clip(small, 0, 1) * 255).round().astype(np.uint8), nearest
