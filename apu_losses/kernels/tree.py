"""Hierarchical winding number in plain PyTorch: the tree of `cpu.winding`, walked level by level.

A frontier of (query block, node) pairs starts at the root. Pairs far enough apart become dipoles, leaves
become solid angles, the rest go on to their two children.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from apu_losses.kernels import reference
from apu_losses.kernels.scatter import accumulate
from apu_losses.kernels.topology import BLOCK, LEAF_FACES, MeshTopology

_PAIRS = 1 << 16


def fit(vertices: Tensor, topology: MeshTopology) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Corners in tree order ``(F, 3, 3)`` and, per node, centre, area vector and radius."""
    corners = vertices[topology.faces[topology.face_order]]
    normal = 0.5 * torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = normal.norm(dim=1)
    start, end = topology.node_start, topology.node_end

    def over_nodes(values: Tensor) -> Tensor:
        # Sums over runs of faces as differences of a running sum, in float64 because the differences are
        # small.
        running = torch.cat(
            [values.new_zeros(1, values.shape[1], dtype=torch.float64), values.double().cumsum(0)]
        )
        return running[end] - running[start]

    total = over_nodes(area[:, None])
    weighted = over_nodes(area[:, None] * corners.mean(1))
    plain = over_nodes(corners.mean(1)) / (end - start)[:, None]
    centre = torch.where(total > 0, weighted / total.clamp(min=1e-300), plain)
    # The box of a node bounds its radius: half-diagonal plus how far the centre lies from the box's.
    owner = torch.repeat_interleave(torch.arange(len(start), device=start.device), end - start)
    face = (
        torch.arange(len(owner), device=start.device)
        - ((end - start).cumsum(0) - (end - start) - start)[owner]
    )
    far = (corners.double()[face] - centre[owner, None]).norm(dim=-1).amax(1)
    radius = torch.zeros(len(start), dtype=torch.float64, device=start.device).scatter_reduce_(
        0, owner, far, "amax"
    )
    dtype = vertices.dtype
    return corners, centre.to(dtype), over_nodes(normal).to(dtype), radius.to(dtype)


def winding_number(
    points: Tensor, vertices: Tensor, topology: MeshTopology, beta: float, slots: Tensor
) -> Tensor:
    """Winding number ``(Q,)`` of one mesh around ``points (Q, 3)``, whose block order is ``slots``."""
    out = torch.zeros(len(points), dtype=points.dtype, device=points.device)
    if len(points) == 0 or len(topology.faces) == 0:
        return out
    corners, centre, normal, radius = fit(vertices, topology)
    queries = torch.nan_to_num(points, 0.0, 0.0, 0.0)[slots].view(-1, BLOCK, 3)
    total = torch.zeros(queries.shape[:2], dtype=points.dtype, device=points.device)
    start, end, skip = topology.node_start, topology.node_end, topology.node_skip
    lanes = torch.arange(LEAF_FACES, device=points.device)
    block = torch.arange(len(queries), device=points.device)
    node = torch.zeros_like(block)
    while len(block):
        next_block, next_node = [], []
        for s in range(0, len(block), _PAIRS):
            k, n = block[s : s + _PAIRS], node[s : s + _PAIRS]
            offset = centre[n, None] - queries[k]
            r2 = (offset * offset).sum(-1)
            away = r2.amin(1) > (beta * radius[n]) ** 2
            kd, nd = k[away], n[away]
            dipole = (offset[away] * normal[nd, None]).sum(-1) / (r2[away] * r2[away].sqrt())
            accumulate(total, kd, dipole / (4 * math.pi))
            k, n = k[~away], n[~away]
            leaf = skip[n] == n + 1
            for t in range(0, int(leaf.sum()), _PAIRS // 16):
                kl, nl = k[leaf][t : t + _PAIRS // 16], n[leaf][t : t + _PAIRS // 16]
                face = start[nl, None] + lanes
                real = face < end[nl, None]
                a, b, c = corners[face.clamp(max=len(corners) - 1)][:, None].unbind(-2)
                angle = reference.solid_angle(queries[kl][:, :, None], a, b, c)
                angle = torch.where(real[:, None], angle, 0.0).sum(-1)
                accumulate(total, kl, angle / (4 * math.pi))
            k, n = k[~leaf], n[~leaf]
            next_block += [k, k]
            next_node += [n + 1, skip[n + 1]]
        block, node = torch.cat(next_block), torch.cat(next_node)
    out[slots] = total.flatten()
    return out
