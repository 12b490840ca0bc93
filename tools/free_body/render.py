"""A small shaded z-buffer, so that the body can be looked at without a graphics stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit

SKIN = np.array([0.80, 0.72, 0.66])


def look_from(azimuth: float, elevation: float = 0.0) -> np.ndarray:
    """(3, 3) rows right, up, towards the viewer; azimuth 0 looks at the front, 90 at the body's left side
    (degrees).
    """
    a, e = np.radians(azimuth), np.radians(elevation)
    back = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    right = np.array([np.cos(a), 0.0, -np.sin(a)])
    return np.stack([right, np.cross(back, right), back])


@njit(cache=False)
def _fill(xy, depth, faces, shade, colors, image, zbuf):  # type: ignore[no-untyped-def]
    height, width = zbuf.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, x1, y1, x2, y2 = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-12:
            continue
        left, right = max(0, int(np.floor(min(x0, x1, x2)))), min(width - 1, int(np.ceil(max(x0, x1, x2))))
        low, high = max(0, int(np.floor(min(y0, y1, y2)))), min(height - 1, int(np.ceil(max(y0, y1, y2))))
        for y in range(low, high + 1):
            for x in range(left, right + 1):
                w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
                w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
                w0 = 1 - w1 - w2
                if w0 < -1e-9 or w1 < -1e-9 or w2 < -1e-9:
                    continue
                z = w0 * depth[a] + w1 * depth[b] + w2 * depth[c]
                if z > zbuf[y, x]:
                    zbuf[y, x] = z
                    s = w0 * shade[a] + w1 * shade[b] + w2 * shade[c]
                    for k in range(3):
                        image[y, x, k] = s * colors[f, k]


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) area-weighted unit normals."""
    p = vertices[faces]
    n = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    out = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(out, faces[:, k], n)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def render(
    vertices: np.ndarray,
    faces: np.ndarray,
    view: np.ndarray,
    center: np.ndarray,
    height_m: float,
    size: tuple[int, int] = (400, 300),
    colors: np.ndarray | None = None,
    points: np.ndarray | None = None,
    point_size: int = 1,
) -> np.ndarray:
    """Orthographic picture `(height, width, 3)` uint8; `size` is (height, width), `points` are drawn on
    top where seen.
    """
    h, w = size
    scale = h / height_m
    local = (vertices - center) @ view.T
    xy = np.stack([w / 2 + local[:, 0] * scale, h / 2 - local[:, 1] * scale], 1)
    normal = vertex_normals(vertices, faces) @ view.T
    light = np.array([0.4, 0.5, 0.77])
    shade = 0.25 + 0.75 * np.clip(normal @ light, 0, 1) + 0.12 * np.clip(-normal @ light, 0, 1)
    paint = np.tile(SKIN, (len(faces), 1)) if colors is None else colors
    image = np.ones((h, w, 3))
    zbuf = np.full((h, w), -np.inf)
    _fill(xy, local[:, 2], faces, shade, paint, image, zbuf)
    if points is not None:
        p = (points - center) @ view.T
        for x, y, z in np.stack([w / 2 + p[:, 0] * scale, h / 2 - p[:, 1] * scale, p[:, 2]], 1):
            i, j = round(y), round(x)
            if 0 <= i < h and 0 <= j < w and z > zbuf[i, j] - 0.01:
                image[
                    max(0, i - point_size) : i + point_size + 1, max(0, j - point_size) : j + point_size + 1
                ] = (0.85, 0, 0)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def sheet(rows: list[list[np.ndarray]], path: Path) -> None:
    """Write pictures as one sheet, rows of equal heights."""
    from PIL import Image

    image = Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in rows], 0))
    image.quantize(64).save(path, optimize=True)
