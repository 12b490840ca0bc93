"""How far two bodies are inside each other: depth of their vertices, and volume that they share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.functional.penetration import Target, select_penetrations
from apu_losses.functional.penetration_selection import penetration_points
from apu_losses.geometry.operators import Faces, inside
from apu_losses.geometry.topology import as_topology
from apu_losses.geometry.types import BackendName
from apu_losses.numerics.distances import distance2
from apu_losses.numerics.precision import widen

_MARGIN = 0.02  # metres; the overlap reaches beyond the vertices that are inside by less than an edge


class PenetrationDepth(NamedTuple):
    """Per pair of bodies, each ``(Q,)``: number ``inside`` of vertices of both, the 95th percentile ``p95``
    and the ``largest`` of their depths in metres; 0 where nothing is inside, NaN where a body is not
    finite."""

    inside: Tensor
    p95: Tensor
    largest: Tensor


class VertexDepths(NamedTuple):
    """Of the K vertices that are inside another body: ``depth (K,)`` in metres and ``pair (K,)``, which pair
    of bodies each belongs to; ``broken (Q,)``: pairs with a body that is not finite."""

    depth: Tensor
    pair: Tensor
    broken: Tensor


@torch.no_grad()
def vertex_depths(
    vertices: Tensor,
    faces: Faces,
    rows_a: Tensor,
    rows_b: Tensor,
    *,
    target: Target = "surface",
    backend: BackendName = "auto",
) -> VertexDepths:
    """Return the depth of every vertex of either body that is inside the other.

    Arguments as of `apu_losses.functional.select_penetrations`; depth to the nearest surface
    point is fairer than to the nearest vertex.
    """
    found = select_penetrations(vertices, faces, rows_a, rows_b, target=target, backend=backend)
    return VertexDepths(distance2(*penetration_points(vertices, found)).sqrt(), found.pair, found.broken)


def summarise_depths(depth: Tensor, owner: Tensor, broken: Tensor) -> PenetrationDepth:
    """Return number, 95th percentile and largest of the depths ``(K,)`` of each owner ``(K,)`` in 0..S-1.

    ``broken (S,)`` owners are NaN; an owner of none has zeros.
    """
    columns = []
    for index in range(len(broken)):
        own = depth[owner == index]
        p95, largest = (own.quantile(0.95), own.max()) if len(own) else depth.new_zeros(2).unbind()
        columns.append(torch.stack([depth.new_tensor(float(len(own))), p95, largest]))
    table = torch.stack(columns) if columns else depth.new_zeros(0, 3)
    return PenetrationDepth(*torch.where(broken[:, None], torch.nan, table).unbind(1))


def penetration_depth(
    vertices: Tensor,
    faces: Faces,
    rows_a: Tensor,
    rows_b: Tensor,
    *,
    target: Target = "surface",
    backend: BackendName = "auto",
) -> PenetrationDepth:
    """How many vertices of two bodies are inside each other, and how deep; arguments as of
    `vertex_depths`."""
    return summarise_depths(*vertex_depths(vertices, faces, rows_a, rows_b, target=target, backend=backend))


@torch.no_grad()
def penetration_volume(
    vertices: Tensor,
    faces: Faces,
    rows_a: Tensor,
    rows_b: Tensor,
    *,
    spacing: float = 0.005,
    backend: BackendName = "auto",
) -> Tensor:
    """Return the volume that two bodies share: points of a regular grid that are inside both.

    A penetration deep enough to count has a vertex inside, so the grid fills the box of the vertices that are
    inside, 2 cm wider. Its error is that of counting cells: of the order of surface times spacing, without
    bias.

    Args:
        vertices: ``(N, V, 3)`` all bodies, metres.
        faces: ``(F, 3)`` of a closed mesh with outward faces, or a `MeshTopology`.
        rows_a, rows_b: ``(Q,)`` the pairs of bodies.
        spacing: edge of a grid cell, metres.
        backend: of the geometry operators.

    Returns:
        ``(Q,)`` cubic metres; 0 where no vertex is inside, NaN where a body is not finite.

    Raises:
        ValueError: a spacing that is not positive, shapes that do not fit.
    """
    if not spacing > 0:
        raise ValueError(f"spacing must be positive metres, got {spacing}")
    vertices = widen(vertices)
    topology = as_topology(faces, vertices).to(vertices.device)
    found = select_penetrations(vertices, topology, rows_a, rows_b, backend=backend)
    points = vertices[found.row, found.vertex]
    volumes = vertices.new_zeros(len(rows_a))
    for pair, (a, b) in enumerate(zip(rows_a.tolist(), rows_b.tolist(), strict=True)):
        own = points[found.pair == pair]
        if not len(own):
            continue
        # the overlap lies in the boxes of both bodies
        low = torch.stack([own.amin(0) - _MARGIN, vertices[a].amin(0), vertices[b].amin(0)])
        high = torch.stack([own.amax(0) + _MARGIN, vertices[a].amax(0), vertices[b].amax(0)])
        grid = _grid(low.amax(0), high.amin(0), spacing)
        within_a = inside(grid[None], vertices[a][None], topology, backend=backend)[0]
        grid = grid[within_a]
        if len(grid):
            within_b = inside(grid[None], vertices[b][None], topology, backend=backend)[0]
            volumes[pair] = float(within_b.sum()) * spacing**3
    return torch.where(found.broken, torch.nan, volumes)


def _grid(low: Tensor, high: Tensor, spacing: float) -> Tensor:
    """``(K, 3)`` centres of cubic cells that cover a box, centred on it."""
    axes = []
    for a, b in zip(low.tolist(), high.tolist(), strict=True):
        count = max(1, round((b - a) / spacing + 0.5))
        first = (a + b) / 2 - spacing * (count - 1) / 2
        axes.append(first + spacing * torch.arange(count, dtype=low.dtype, device=low.device))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
