"""What a fit is judged by: how near the contacts are, how deep the bodies sit in each other.

Keypoint error is `apu_losses.functional.reprojection.keypoint_error`, change of pose and stature
`apu_losses.functional.plausibility`. No measure turns a failure into a good score: NaN in, NaN out, and a
share of nothing is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.functional.contact import select_contacts
from apu_losses.functional.contact_edges import ContactEdges
from apu_losses.functional.geometry import Faces, Regions
from apu_losses.functional.penetration import Target, penetration_points, select_penetrations
from apu_losses.functional.rows import gather_points
from apu_losses.kernels.reference import distance2
from apu_losses.kernels.types import Backend


@torch.no_grad()
def contact_distances(
    vertices: Tensor, edges: ContactEdges, regions: Regions, *, backend: Backend = "auto"
) -> tuple[Tensor, Tensor]:
    """The distance of each contact: smallest distance between the vertices of its two sides.

    Args:
        vertices: ``(N, V, 3)`` all bodies, metres.
        edges: contacts; of an open edge the order with the smaller sum of squared distances is measured.
        regions: the 75 regions.
        backend: of the geometry search.

    Returns:
        Distances ``(C,)`` in metres and the edge ``(C,)`` of each.
    """
    chosen = select_contacts(vertices, edges, regions, backend=backend)
    a = gather_points(vertices, chosen.row_a, chosen.vertex_a)
    b = gather_points(vertices, chosen.row_b, chosen.vertex_b)
    return torch.where(chosen.valid, distance2(a, b), torch.nan).sqrt(), chosen.edge


@torch.no_grad()
def share_within(distances: Tensor, thresholds: Sequence[float]) -> Tensor:
    """``(T,)`` share of distances ``(C,)`` that are at most each threshold, in [0, 1].

    NaN if there is no distance, or if one of them is NaN.
    """
    if distances.dim() != 1:
        raise ValueError(f"distances must have shape (C,), got {tuple(distances.shape)}")
    limits = distances.new_tensor(list(thresholds))
    share = (distances[None] <= limits[:, None]).to(distances.dtype).mean(1)
    return torch.where(distances.isnan().any(), torch.nan, share)


class PenetrationDepth(NamedTuple):
    """Per pair of bodies, each ``(Q,)``: number ``inside`` of vertices of both, the 95th percentile ``p95``
    and the ``largest`` of their depths in metres; 0 where nothing is inside, NaN where a body is not
    finite."""

    inside: Tensor
    p95: Tensor
    largest: Tensor


@torch.no_grad()
def penetration_depth(
    vertices: Tensor,
    faces: Faces,
    rows_a: Tensor,
    rows_b: Tensor,
    *,
    target: Target = "surface",
    backend: Backend = "auto",
) -> PenetrationDepth:
    """How many vertices of two bodies are inside each other, and how deep.

    Arguments as of `apu_losses.functional.penetration.select_penetrations`; depth to the nearest surface
    point is fairer than to the nearest vertex.
    """
    found = select_penetrations(vertices, faces, rows_a, rows_b, target=target, backend=backend)
    depth = distance2(*penetration_points(vertices, found)).sqrt()
    columns = []
    for pair in range(len(rows_a)):
        own = depth[found.pair == pair]
        some = len(own) > 0
        p95, largest = (own.quantile(0.95), own.max()) if some else (depth.new_zeros(()), depth.new_zeros(()))
        columns.append(torch.stack([depth.new_tensor(float(len(own))), p95, largest]))
    table = torch.stack(columns) if columns else depth.new_zeros(0, 3)
    table = torch.where(found.broken[:, None], torch.nan, table)
    return PenetrationDepth(*table.unbind(1))
