"""The operators under torch.func.vmap give what a loop gives, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from kernels_meshes import pair
from torch.func import vmap

from apu_losses import geometry as g
from apu_losses.geometry import custom_ops
from apu_losses.geometry.requests import Query, VertexSearch

MESH = pair(6, 2)
EDGES = g.RegionPairs.from_offsets([0, 4, 8], [0, 2, 4, 6] * 2, [1, 3, 5, 11] * 2)
WITHIN = g.RegionPairs(*(torch.tensor(x) for x in ([0, 0, 1], [1, 1, 0], [2, 4, 5], [3, 1, 7])))
UNIONS = g.RegionPairs.from_unions([0, 1], [1, 0], [[0, 2], [3]], [[1], [4, 5]])


def finite(values):
    return torch.where(values.isfinite(), values, torch.zeros_like(values))


def weighted(values):
    """Different weights, so that a mixed-up order of answers is seen."""
    return (finite(values) * torch.linspace(1, 2, values.numel()).reshape(values.shape)).sum()


OPERATORS = {
    "region_min": lambda a, b, k: g.region_min_distance(a, b, EDGES, MESH.regions, backend=k).distance2,
    "region_min of one tensor": lambda a, b, k: (
        g.region_min_distance(torch.cat([a[:1], b[:1]]), None, WITHIN, MESH.regions, backend=k).distance2
    ),
    "region_min of unions": lambda a, b, k: (
        g.region_min_distance(a, b, UNIONS, MESH.regions, backend=k).distance2
    ),
    "region_nearest": lambda a, b, k: g.region_nearest_vertex(a, b, EDGES, MESH.regions, backend=k).distance2,
    "region_nearest of unions within one tensor": lambda a, b, k: (
        g.region_nearest_vertex(torch.cat([a[:1], b[:1]]), None, UNIONS, MESH.regions, backend=k).distance2
    ),
    "soft": lambda a, b, k: g.region_soft_minimum(a, b, EDGES, MESH.regions, temperature=1e-2, backend=k),
    "matrix": lambda a, b, k: g.region_distance_matrix(a, b, MESH.regions, backend=k).distance2,
    "nearest_vertex": lambda a, b, k: g.nearest_vertex(a, b, backend=k).distance2,
    "nearest_surface": lambda a, b, k: (
        g.nearest_surface(a, b, MESH.topology, points_topology=MESH.topology, backend=k).distance2
    ),
    "nearest_vertex of rows": lambda a, b, k: (
        g.nearest_vertex(a, b, rows=(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 0])), backend=k).distance2
    ),
    "penetration": lambda a, b, k: g.penetration(a, b, MESH.topology, target="surface", backend=k).distance2,
}


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("name", OPERATORS)
def test_vmap_equals_a_loop_in_value_and_gradient(name, backend):
    a, b = MESH.a[:6].unflatten(0, (3, 2)), MESH.b[:2]  # b is the same for all: not mapped

    def loss(x, y):
        return weighted(OPERATORS[name](x, y, backend))

    results = []
    for run in (vmap(loss, in_dims=(0, None)), lambda x, y: torch.stack([loss(each, y) for each in x])):
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
        values = run(x, y)
        (values * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        results.append((values.detach(), x.grad, y.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        assert ours.abs().sum() > 0


def test_inside_under_vmap(capfd):
    a, b = MESH.a[:6].unflatten(0, (3, 2)), MESH.b[:2]
    ours = vmap(lambda x: g.inside(x, b, MESH.topology))(a)
    assert torch.equal(ours, torch.stack([g.inside(x, b, MESH.topology) for x in a])) and ours.any()
    assert "batching rule" not in capfd.readouterr().err  # PyTorch says so where it maps by a loop


def test_any_dimension_can_be_mapped():
    a = MESH.a[:6].unflatten(0, (3, 2)).movedim(0, 2)
    found = vmap(lambda x: g.nearest_vertex(x, MESH.b[:2]).vertex, in_dims=2, out_dims=1)(a)
    for i in range(3):
        assert torch.equal(found[:, i], g.nearest_vertex(a[:, :, i].contiguous(), MESH.b[:2]).vertex)


def test_a_layout_cannot_be_mapped():
    query = Query(MESH.a[:2], None, None, None)
    slots = MESH.topology.slots.expand(2, -1)
    with pytest.raises(ValueError, match="slots is a layout"):
        vmap(lambda s: custom_ops.nearest_vertex(VertexSearch(query, MESH.b[:2], s, 1.0, 0.0), "cpu"))(slots)
