"""Shaded pictures of meshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_losses.viz.camera import camera_numbers
from apu_losses.viz.mesh import FloatArray, Mesh, vertex_normals
from apu_losses.viz.raster import Fragments, rasterize

if TYPE_CHECKING:
    from apu_losses.viz.camera import AnyCamera

PAPER = (0.965, 0.965, 0.955)
"""Colour of the ground where there is no photograph."""

# Directions towards the lights in the camera frame (+Y is down, +Z is away), and their strengths.
_LIGHTS: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((-0.45, -0.75, -0.70), 0.66),
    ((0.80, -0.10, -0.55), 0.26),
)
_AMBIENT_SKY, _AMBIENT_GROUND = 0.42, 0.26
_HIGHLIGHT = 0.10


def render_meshes(
    meshes: Sequence[Mesh],
    camera: AnyCamera,
    size: tuple[int, int],
    *,
    background: ArrayLike | None = None,
    alpha: float = 1.0,
    supersample: int = 2,
) -> NDArray[np.uint8]:
    """Draw meshes with hidden surfaces removed, smooth shading and smooth edges.

    Args:
        meshes: what to draw; nearer surfaces hide farther ones, whichever mesh they are of.
        camera: one pinhole camera in pixels of the picture.
        size: width and height of the picture in pixels.
        background: ``(3,)`` a colour in [0, 1] or ``(height, width, 3)`` an 8-bit picture; `PAPER` if None.
        alpha: opacity of the meshes in [0, 1].
        supersample: each pixel is the mean of this many times this many.

    Returns:
        ``(height, width, 3)`` 8-bit red, green, blue.

    Raises:
        ValueError: a size or opacity out of range, a background of another size, or more than one camera.
    """
    width, height = size
    if width < 1 or height < 1 or supersample < 1:
        raise ValueError(f"size and supersample must be at least 1, got {size} and {supersample}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    focal, center = camera_numbers(camera)
    ground = _background(background, width, height)
    if not meshes:
        return _to_bytes(ground)

    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    first = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, first[:-1], strict=True)])
    colors = np.concatenate([mesh.colors for mesh in meshes])
    normals = np.concatenate([vertex_normals(mesh.vertices, mesh.faces) for mesh in meshes])

    wide, high = width * supersample, height * supersample
    seen = rasterize(vertices, faces, focal * supersample, center * supersample, wide, high)
    shaded = _shade(seen, vertices, faces, normals, colors)

    # sums over the subpixels of a pixel: colour, and how many of them see a mesh
    pixel = (seen.row // supersample) * width + seen.column // supersample
    share = 1.0 / supersample**2
    coverage = np.bincount(pixel, minlength=width * height).reshape(height, width, 1) * share
    color = np.stack(
        [np.bincount(pixel, weights=shaded[:, c], minlength=width * height) for c in range(3)], axis=-1
    ).reshape(height, width, 3)
    return _to_bytes(ground * (1 - alpha * coverage) + alpha * share * color)


def _shade(
    seen: Fragments,
    vertices: FloatArray,
    faces: NDArray[np.int64],
    normals: FloatArray,
    colors: FloatArray,
) -> FloatArray:
    """Colours ``(P, 3)`` of fragments: two lights, sky and ground, a highlight, darker towards the rim."""
    corner = faces[seen.face]
    weight = seen.barycentric[:, :, None]
    point = (vertices[corner] * weight).sum(1)
    normal = _unit((normals[corner] * weight).sum(1))
    albedo = (colors[corner] * weight).sum(1)
    to_eye = _unit(-point)
    facing = (normal * to_eye).sum(1)
    normal = np.where(facing[:, None] < 0, -normal, normal)
    facing = np.abs(facing)

    sky = 0.5 - 0.5 * normal[:, 1]
    light = _AMBIENT_GROUND + (_AMBIENT_SKY - _AMBIENT_GROUND) * sky
    highlight = np.zeros(len(light))
    for direction, strength in _LIGHTS:
        towards = _unit(np.array([direction]))
        light = light + strength * np.maximum((normal * towards).sum(1), 0)
        half = _unit(towards + to_eye)
        highlight += strength * np.maximum((normal * half).sum(1), 0) ** 30
    rim = 0.62 + 0.38 * np.minimum(facing / 0.45, 1.0)
    shaded: FloatArray = albedo * (light * rim)[:, None] + _HIGHLIGHT * highlight[:, None]
    return shaded.clip(0, 1)


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(length, 1e-12)
    return unit


def _background(background: ArrayLike | None, width: int, height: int) -> FloatArray:
    given = np.asarray(PAPER if background is None else background)
    if given.shape == (3,):
        return np.broadcast_to(given.astype(np.float64), (height, width, 3))
    if given.shape != (height, width, 3):
        raise ValueError(
            f"background must be a colour (3,) or a picture ({height}, {width}, 3), got shape {given.shape}: "
            "are width and height swapped, or is there an alpha channel?"
        )
    if given.dtype != np.uint8:
        raise ValueError(f"a background picture must be 8-bit (uint8), got {given.dtype}")
    return given / 255.0


def _to_bytes(image: FloatArray) -> NDArray[np.uint8]:
    return np.round(image.clip(0, 1) * 255).astype(np.uint8)
