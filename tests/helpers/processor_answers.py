"""What the operators say of one geometry; child processes ask it of other processors."""

from __future__ import annotations

import torch
from kernels_meshes import all_edges, pair

from apu_losses import geometry as g


def answers() -> dict[str, torch.Tensor]:
    """Every operator of the cpu back end on one geometry, gradients included."""
    m = pair(2, 3)
    row, ga, gb = all_edges(2, len(m.regions))
    pairs, t = g.RegionPairs(row, row, ga, gb), m.topology
    a, b = m.a.clone().requires_grad_(), m.b.clone().requires_grad_()
    minimum = g.region_min_distance(a, b, pairs, m.regions, backend="cpu")
    near = g.region_nearest_vertex(a, b, pairs, m.regions, backend="cpu")
    matrix = g.region_distance_matrix(a, b, m.regions, cutoff=0.2, backend="cpu")
    vertex = g.nearest_vertex(a, b, points_topology=t, vertices_topology=t, backend="cpu")
    surface = g.nearest_surface(a, b, t, points_topology=t, backend="cpu")
    deep = g.penetration(a, b, t, target="surface", points_topology=t, backend="cpu")
    finite = minimum.distance2[torch.isfinite(minimum.distance2)]
    grads = torch.autograd.grad(finite.sum() + vertex.distance2.sum() + deep.distance2.sum(), (a, b))
    soft = g.region_soft_minimum(a, b, pairs, m.regions, temperature=1e-3, backend="cpu")
    found = {"inside": deep.inside, "rays": g.inside(a, b, t, method="rays", backend="cpu")}
    for name, fields in (
        ("minimum", minimum),
        ("near", near),
        ("matrix", matrix),
        ("vertex", vertex),
        ("surface", surface),
    ):
        found |= {f"{name} {k}": x.detach() for k, x in enumerate(fields)}
    sums = {"soft": soft.detach(), "winding": g.winding_number(a, b, t, points_topology=t, backend="cpu")}
    return (
        found | {f"gradient {k}": x for k, x in enumerate(grads)} | {f"sum {k}": x for k, x in sums.items()}
    )
