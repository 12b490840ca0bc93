"""Static layouts: block orders, face trees, region lists, pairs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kernels_meshes import blob, blob_regions, pair

from apu_losses import geometry as g
from apu_losses.geometry.edge_vertices import vertices_of_edges
from apu_losses.geometry.topology import BLOCK, MeshTopology, RegionIndex, block_order, face_tree


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 31, 32, 33, 500])
def test_block_order_is_a_permutation_with_whole_blocks(count):
    points = np.random.default_rng(count).normal(size=(count, 3))
    order = block_order(points)
    assert sorted(order) == list(range(count))
    if count == 500:
        blocks = points[order[: count // BLOCK * BLOCK]].reshape(-1, BLOCK, 3)
        assert np.ptp(blocks, axis=1).mean() < 0.5 * np.ptp(points, axis=0).mean()


@pytest.mark.parametrize("count", [0, 1, 8, 9, 300])
def test_face_tree_links(count):
    order, start, end, skip = face_tree(np.random.default_rng(count).normal(size=(count, 3)))
    assert sorted(order) == list(range(count))
    # Walking with every node opened meets each face once, in order.
    seen, n = [], 0
    while n < len(start):
        if skip[n] == n + 1:
            assert 0 < end[n] - start[n] <= 8
            seen += range(start[n], end[n])
        else:
            left, right = n + 1, skip[n + 1]
            assert start[left] == start[n] and end[left] == start[right] and end[right] == end[n]
        n += 1
    assert seen == list(range(count))
    assert count == 0 or skip[0] == len(start)


def test_region_index_sorts_drops_repeats_and_pads():
    regions = SimpleNamespace(offsets=[0, 4, 4, 5], vertex_ids=[7, 3, 3, 5, 1])
    index = RegionIndex.build(regions, 9)
    assert index.vertices(0).tolist() == [3, 5, 7] and index.vertices(1).tolist() == []
    assert index.block_offsets.tolist() == [0, 1, 1, 2] and len(index.slots) == 2 * BLOCK
    assert set(index.slots[:BLOCK].tolist()) == {3, 5, 7} and set(index.slots[BLOCK:].tolist()) == {1}


def test_block_order_never_shows():
    v, f = blob(3)
    m = pair(1, 3)
    lists = blob_regions(v)
    plain, shuffled = (
        RegionIndex.from_lists(lists, len(v), t)
        for t in (None, np.random.default_rng(0).normal(size=v.shape))
    )
    expected = g.region_distance_matrix(m.a, m.b, m.regions)
    for regions in (plain, shuffled):
        for x, y in zip(g.region_distance_matrix(m.a, m.b, regions), expected, strict=True):
            assert torch.equal(x, y)
    blind = MeshTopology.build(f, len(v))
    near = g.nearest_vertex(m.a, m.b, points_topology=blind, vertices_topology=blind)
    assert all(torch.equal(x, y) for x, y in zip(near, g.nearest_vertex(m.a, m.b), strict=True))


def test_region_maps_and_faces_are_taken_as_they_are():
    v, _ = blob(2)
    m = pair(1, 2)
    lists = blob_regions(v)
    region_map = SimpleNamespace(
        offsets=np.cumsum([0, *map(len, lists)]), vertex_ids=np.concatenate(lists).astype(np.int32)
    )
    got = g.region_distance_matrix(m.a, m.b, region_map)
    assert torch.equal(got.distance2, g.region_distance_matrix(m.a, m.b, m.regions).distance2)
    for faces in (m.faces, m.faces.numpy().astype(np.uint32)):
        assert torch.equal(g.inside(m.a, m.b, faces), g.inside(m.a, m.b, m.topology))


def test_pairs_from_offsets_and_unions():
    pairs = g.RegionPairs.from_offsets([0, 2, 2, 3], [4, 5, 6], [1, 2, 3])
    assert pairs.row_a.tolist() == [0, 0, 2] == pairs.row_b.tolist() and len(pairs) == 3
    assert pairs.transposed().group_a.tolist() == [1, 2, 3]
    unions = g.RegionPairs.from_unions([0, 1], [1, 0], [[3, 1], [1, 3, 3]], [[2], [1]])
    assert unions.group_a.tolist() == [0, 0] and unions.group_b.tolist() == [1, 2]
    assert unions.unions[0].tolist() == [0, 2, 3, 4] and unions.unions[1].tolist() == [1, 3, 2, 1]
    with pytest.raises(ValueError, match="offsets"):
        g.RegionPairs.from_offsets([0, 2], [1], [1])
    with pytest.raises(ValueError, match="never fall"):
        g.RegionPairs.from_offsets([0, 2, 1], [1], [1])
    with pytest.raises(ValueError, match="group_b"):
        g.RegionPairs(pairs.row_a, pairs.row_b, pairs.group_a, pairs.group_b[:1])


def test_unions_of_regions_keep_their_blocks():
    m = pair(1, 3)
    offsets, regions = torch.tensor([0, 1, 1, 4]), torch.tensor([3, 5, 5, 9])
    unions = m.regions.unions(offsets, regions)
    assert len(unions) == 3 and unions.vertices(1).tolist() == []
    assert torch.equal(unions.vertices(0), m.regions.vertices(3))
    together = torch.cat([m.regions.vertices(5), m.regions.vertices(9)]).unique()
    assert torch.equal(unions.vertices(2), together)
    # The same vertices share a block; what fills the last block up may be another of them.
    start, end = (BLOCK * int(m.regions.block_offsets[r]) for r in (3, 4))
    blocks = (x.view(-1, BLOCK).tolist() for x in (unions.slots[: end - start], m.regions.slots[start:end]))
    assert [set(x) for x in next(blocks)] == [set(x) for x in next(blocks)]
    assert unions.slots[BLOCK * int(unions.block_offsets[2]) :].unique().equal(together)


def test_pairs_remember_where_their_answers_stand():
    m, n = pair(1, 2), pair(1, 2)
    pairs = g.RegionPairs.from_unions([0, 0], [0, 0], [[0, 3], [2]], [[2], [4, 5]])
    first = vertices_of_edges(pairs, m.regions, m.regions)
    assert vertices_of_edges(pairs, m.regions, m.regions) is first
    assert vertices_of_edges(pairs, m.regions, n.regions) is not first
    assert first.edge.tolist() == sorted(first.edge.tolist()) and len(first) == first.offsets[-1]
    assert torch.equal(first.first, first.offsets[:-1:2])


def test_a_layout_made_inside_a_transform_outlives_it():
    m = pair(1, 2)
    pairs = g.RegionPairs.from_unions([0, 0], [0, 0], [[0, 3], [2]], [[2], [4, 5]])

    def distances(a):
        return g.region_nearest_vertex(a.detach(), m.b, pairs, m.regions).distance2.sum() * a.sum()

    torch.func.grad(distances)(m.a)
    again = g.RegionPairs.from_unions([0, 0], [0, 0], [[0, 3], [2]], [[2], [4, 5]])
    with torch.inference_mode():
        g.region_nearest_vertex(m.a, m.b, again, m.regions)
    a = m.a.clone().requires_grad_()
    g.region_nearest_vertex(a, m.b, again, m.regions).distance2.sum().backward()
    assert a.grad.abs().sum() > 0
    for value in vars(vertices_of_edges(pairs, m.regions, m.regions)).values():
        assert not isinstance(value, torch.Tensor) or not torch._C._functorch.is_functorch_wrapped_tensor(
            value
        )


def test_layouts_move():
    m = pair(1, 1)
    assert m.topology.to("cpu") is m.topology and m.regions.to("cpu") is m.regions
    assert m.topology.to("meta").face_slots.device.type == "meta"
    assert m.regions.to("meta").slots.device.type == "meta"
