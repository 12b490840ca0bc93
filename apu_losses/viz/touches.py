"""What touches between two meshes, as a picture: each body alone, in warm colours where it touches."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from apu_losses.functional.touches import Touches
from apu_losses.viz.heat import contact_heat
from apu_losses.viz.mesh import Mesh, people_meshes
from apu_losses.viz.montage import montage
from apu_losses.viz.render import render_meshes
from apu_losses.viz.views import VIEWS, orbit

_INSIDE = np.array([0.45, 0.0, 0.45])  # what lies inside the other body has no distance to show


def touches_picture(
    touches: Touches,
    verts_a: Tensor | ArrayLike,
    verts_b: Tensor | ArrayLike,
    faces: Tensor | ArrayLike,
    faces_b: Tensor | ArrayLike | None = None,
    *,
    reach: float = 0.08,
    height: int = 480,
    up: str = "-y",
) -> NDArray[np.uint8]:
    """Draw two bodies from the front and the back: together, and each alone with where it touches.

    Dark red touches, yellow is near, grey is further away than ``reach``; what lies inside the other body is
    purple.

    Args:
        touches: what `apu_losses.what_touches` found between these meshes.
        verts_a, verts_b: ``(V, 3)`` and ``(V', 3)`` metres.
        faces: ``(F, 3)`` of the first mesh.
        faces_b: of the second; the same topology if None.
        reach: metres.
        height: of each picture in pixels.
        up: where up is: ``"-y"`` as a camera has it, or ``"y"`` as modelling programs have it.

    Returns:
        ``(H, W, 3)`` 8-bit.

    Raises:
        ValueError: meshes that are not those of ``touches``, or another ``up``.
    """
    if up not in ("-y", "y"):
        raise ValueError(f"up must be '-y' or 'y', got {up!r}")
    turn = np.array([1.0, -1.0, -1.0]) if up == "y" else np.ones(3)
    vertices = [_array(v).astype(np.float64) * turn for v in (verts_a, verts_b)]
    triangles = [_array(faces), _array(faces if faces_b is None else faces_b)]
    masks = (touches.touching_a, touches.touching_b)
    for name, own, mask in zip(("verts_a", "verts_b"), vertices, masks, strict=True):
        if own.shape != (len(mask), 3):
            raise ValueError(
                f"{name} must be the mesh that was looked at, of shape ({len(mask)}, 3), got {own.shape}"
            )
    pair = [people_meshes(own[None], each)[0] for own, each in zip(vertices, triangles, strict=True)]
    second = people_meshes(np.stack([vertices[1]] * 2), triangles[1])[1]
    warm = []
    for mesh, inside in zip(
        contact_heat(pair, reach=reach), (touches.inside_a, touches.inside_b), strict=True
    ):
        colors = mesh.colors if inside is None else np.where(inside[:, None], _INSIDE, mesh.colors)
        warm.append(Mesh(mesh.vertices, mesh.faces, colors, mesh.name))
    shown = (("both", [pair[0], second]), ("a", warm[:1]), ("b", warm[1:]))
    pictures, captions = [], []
    for view in ("front", "back"):
        for name, meshes in shown:
            size = (_width(meshes, height), height)
            turned, camera = orbit(meshes, *VIEWS[view], size)
            pictures.append(render_meshes(turned, camera, size))
            captions.append(f"{name}, {view}")
    return montage(pictures, captions, columns=len(shown))


def _array(values: Tensor | ArrayLike) -> NDArray[np.generic]:
    array: NDArray[np.generic] = (
        values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    )
    return array


def _width(meshes: list[Mesh], height: int) -> int:
    """Wide enough for meshes as wide as these, whichever way they are turned."""
    points = np.concatenate([mesh.vertices for mesh in meshes])
    wide, high, deep = np.ptp(points, axis=0)
    return int(height * np.clip(max(wide, deep) / max(high, 1e-9), 0.6, 1.6))
