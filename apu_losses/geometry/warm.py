"""Compile ahead: run every operator of a back end once on a tiny mesh, forward and backward."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from apu_losses.geometry import operators as op
from apu_losses.geometry.dispatch import resolve_name
from apu_losses.geometry.topology import MeshTopology, RegionIndex
from apu_losses.geometry.types import BackendName, RegionPairs

_TETRAHEDRON = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]


def warmup(backend: BackendName = "auto", device: torch.device | str = "cpu") -> float:
    """Compile (or load from numba's cache on disk) all kernels of a back end; seconds it took.

    A worker that calls this at start-up does not pay for it at its first batch. Raises as the back end would.

    Example:
        >>> warmup("reference") < 1.0  # which has nothing to compile
        True
    """
    begin = time.perf_counter()
    corners = [[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]]
    verts = torch.tensor(corners, device=device, dtype=torch.float32)
    if resolve_name(backend, verts) != "reference":
        verts.requires_grad_()
        with torch.enable_grad():
            for value in _differentiable(verts, backend):
                torch.autograd.grad(value.sum(), verts)
        _plain(verts.detach(), backend)
        if verts.is_cuda:
            torch.cuda.synchronize()
    return time.perf_counter() - begin


def _differentiable(verts: Tensor, backend: BackendName) -> Iterator[Tensor]:
    device = verts.device
    mesh = MeshTopology.build(_TETRAHEDRON, 4, verts.detach()[0]).to(device)
    regions = RegionIndex.from_lists([[0, 1], [2, 3]], 4, verts.detach()[0]).to(device)
    row, other = (torch.full((1,), k, dtype=torch.int64, device=device) for k in (0, 1))
    pairs = RegionPairs(row, row, row, other)
    yield op.region_min_distance(verts, None, pairs, regions, backend=backend).distance2
    yield op.region_nearest_vertex(verts, verts, pairs, regions, backend=backend).distance2
    yield op.region_distance_matrix(verts, verts, regions, backend=backend).distance2
    yield op.region_soft_minimum(verts, verts, pairs, regions, temperature=1.0, backend=backend)
    yield op.nearest_vertex(verts, verts, vertices_topology=mesh, backend=backend).distance2
    yield op.nearest_surface(verts, verts, mesh, backend=backend).distance2


def _plain(verts: Tensor, backend: BackendName) -> None:
    mesh = MeshTopology.build(_TETRAHEDRON, 4, verts[0])
    op.inside(verts, verts, mesh, backend=backend)
    for method in ("tree", "exact", "rays"):
        op.winding_number(verts, verts, mesh, method=method, backend=backend)
