"""A mesh to be shown: vertices, faces, colours and a name."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]

PERSON_COLORS: tuple[tuple[float, float, float], ...] = (
    (0.47, 0.68, 0.92),
    (0.96, 0.62, 0.42),
    (0.55, 0.80, 0.56),
    (0.80, 0.62, 0.88),
    (0.93, 0.82, 0.45),
    (0.55, 0.80, 0.82),
)
"""Colours of the first people of a picture, in order; `person_color` goes on from there."""


def person_color(person: int) -> tuple[float, float, float]:
    """Return the colour of a person, each in [0, 1]: no two of a hundred people have the same.

    Example:
        >>> person_color(0) == PERSON_COLORS[0], person_color(6) in PERSON_COLORS
        (True, False)
    """
    if person < len(PERSON_COLORS):
        return PERSON_COLORS[person]
    # hues a golden section apart never meet; two of lightness tell neighbours in hue apart
    hue, light = (0.61803399 * person) % 1.0, (0.62, 0.76)[person % 2]
    return colorsys.hls_to_rgb(hue, light, 0.6)


@dataclass(frozen=True)
class Mesh:
    """One mesh as pictures and files show it.

    Args:
        vertices: ``(V, 3)`` metres in the OpenCV camera frame (+X right, +Y down, +Z forward).
        faces: ``(F, 3)`` vertex ids; the order of the corners is outward.
        colors: ``(3,)`` one colour or ``(V, 3)`` one a vertex, red green blue in [0, 1].
        name: what the mesh is called in files.

    Raises:
        ValueError: a shape is wrong, a face names a vertex that is not there, or a colour is outside [0, 1].
    """

    vertices: FloatArray
    faces: NDArray[np.int64]
    colors: FloatArray
    name: str = "mesh"

    def __init__(self, vertices: ArrayLike, faces: ArrayLike, colors: ArrayLike, name: str = "mesh") -> None:
        vertices_ = np.asarray(vertices, dtype=np.float64)
        faces_ = np.asarray(faces, dtype=np.int64)
        if vertices_.ndim != 2 or vertices_.shape[1] != 3:
            raise ValueError(f"vertices of {name!r} must have shape (V, 3), got {vertices_.shape}")
        if faces_.ndim != 2 or faces_.shape[1] != 3:
            raise ValueError(f"faces of {name!r} must have shape (F, 3), got {faces_.shape}")
        if faces_.size and (faces_.min() < 0 or faces_.max() >= len(vertices_)):
            raise ValueError(
                f"faces of {name!r} name vertices {faces_.min()} to {faces_.max()}, "
                f"but there are {len(vertices_)}: are these the faces of another body?"
            )
        colors_ = np.asarray(colors, dtype=np.float64)
        if colors_.shape not in {(3,), (len(vertices_), 3)}:
            raise ValueError(
                f"colors of {name!r} must have shape (3,) or ({len(vertices_)}, 3), got {colors_.shape}"
            )
        if colors_.size and not (colors_.min() >= 0 and colors_.max() <= 1):
            raise ValueError(f"colors of {name!r} must lie in [0, 1]: divide 8-bit colours by 255")
        object.__setattr__(self, "vertices", vertices_)
        object.__setattr__(self, "faces", faces_)
        object.__setattr__(self, "colors", np.broadcast_to(colors_, vertices_.shape).copy())
        object.__setattr__(self, "name", name)

    def moved(self, vertices: ArrayLike) -> Mesh:
        """Return the same mesh with other vertex positions ``(V, 3)``."""
        return Mesh(vertices, self.faces, self.colors, self.name)


def people_meshes(vertices: ArrayLike, faces: ArrayLike) -> list[Mesh]:
    """Meshes of N people of one body model ``(N, V, 3)``, each in a colour of its own."""
    return [
        Mesh(v, faces, person_color(i), f"person_{i}")
        for i, v in enumerate(np.asarray(vertices, dtype=np.float64))
    ]


def vertex_normals(vertices: FloatArray, faces: NDArray[np.int64]) -> FloatArray:
    """Return unit normals ``(V, 3)``: the mean over the faces around a vertex, weighted by area; 0 without
    faces.
    """
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.stack(
        [
            np.bincount(faces.ravel(), weights=np.repeat(normals[:, axis], 3), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    unit: FloatArray = np.divide(summed, length, out=np.zeros_like(summed), where=length > 0)
    return unit
