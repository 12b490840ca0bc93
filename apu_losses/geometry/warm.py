"""Compile ahead: run every operator of a back end once on a tiny mesh."""

from __future__ import annotations

import time

import torch

from apu_losses.geometry import ops
from apu_losses.geometry.dispatch import resolve
from apu_losses.geometry.pair_layout import layout_of
from apu_losses.geometry.topology import MeshTopology, RegionIndex
from apu_losses.geometry.types import RegionPairs

_TETRAHEDRON = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]


def warmup(backend: str = "auto", device: torch.device | str = "cpu") -> float:
    """Compile (or load from numba's cache on disk) all kernels of a back end; seconds it took.

    A worker that calls this at start-up does not pay for it at its first batch. Raises as the back end would.
    """
    begin = time.perf_counter()
    verts = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], device=device, dtype=torch.float32)
    backend = resolve(backend, verts)
    if backend != "reference":
        mesh = MeshTopology.build(_TETRAHEDRON, 4, verts[0]).to(verts.device)
        regions = RegionIndex.from_lists([[0, 1], [2, 3]], 4, verts[0]).to(verts.device)
        layout = (regions.offsets, regions.vertex_ids, regions.slots, regions.block_offsets)
        zero, one = (
            torch.zeros(1, dtype=torch.int64, device=device),
            torch.ones(1, dtype=torch.int64, device=device),
        )
        tree = (mesh.face_order, mesh.node_start, mesh.node_end, mesh.node_skip)
        inf = float("inf")
        found = ops.region_min(verts, None, zero, zero, zero, one, *layout, *layout, None, None, backend)
        ops.edge_gradient(verts, None, zero, zero, *found[1:], found[0], backend)
        pairs = layout_of(RegionPairs(zero, zero, zero, one), regions, regions)
        flat = (pairs.first, pairs.edge)
        ops.region_nearest(verts, None, zero, zero, zero, one, *layout, *layout, *flat, backend)
        ops.region_matrix(verts, verts, *layout, *layout, inf, backend)
        soft = (verts, verts, zero, zero, zero, one, *layout, *layout, None, None, 1.0, backend)
        value, least, sums = ops.region_soft_min(*soft)
        ops.region_soft_min_gradient(*soft, least, sums, torch.ones_like(value))
        d2, index = ops.nearest_vertex(verts, verts, inf, None, mesh.slots, None, inf, None, None, backend)
        ops.nearest_gradient(verts, verts, index, d2, None, None, backend)
        d2, face, weights = ops.nearest_surface(
            verts, verts, mesh.faces, mesh.face_slots, inf, None, None, inf, None, None, backend
        )
        ops.surface_gradient(verts, verts, mesh.faces, face, weights, d2, None, None, backend)
        ops.inside(verts, verts, mesh.faces, *tree, mesh.closed, None, None, None, None, backend)
        for method in ("tree", "exact", "rays"):
            ops.winding_number(
                verts, verts, mesh.faces, *tree, method, 2.0, None, False, None, None, None, backend
            )
        if verts.is_cuda:
            torch.cuda.synchronize()
    return time.perf_counter() - begin
