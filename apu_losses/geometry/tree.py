"""Hierarchical winding number in plain PyTorch: the tree of `cpu.winding`, walked level by level.

A frontier of (query block, node) pairs starts at the root. Pairs far enough apart become a dipole and a
quadrupole with a bound on what is left, leaves become solid angles, the rest go on to their two children.
The mathematics of the bound stands in `cpu.winding`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.geometry import reference
from apu_losses.geometry.scatter import accumulate
from apu_losses.geometry.topology import BLOCK, LEAF_FACES, MeshTopology

_PAIRS = 1 << 16
_ROUNDING = 1e-3  # more than sums of thousands of float32 terms were ever seen to err
_WIDEN, _WIDEST = 1.5, 16.0
_BETA_CLOSED, _BETA_OPEN = 1.6, 2.2


class Nodes(NamedTuple):
    """A refitted tree: ``corners (F, 3, 3)`` in tree order and, per node, what a far query sees of it."""

    corners: Tensor
    centre: Tensor
    radius: Tensor
    area_vector: Tensor
    quadrupole: Tensor
    second_moment: Tensor


def fit(vertices: Tensor, topology: MeshTopology) -> Nodes:
    """Refit the tree to a pose. ``quadrupole (N, 3, 3)`` is three times the symmetric, traceless part of the
    first moments of the area vectors.
    """
    corners = vertices[topology.faces[topology.face_order]]
    # Moments are differences of running sums: in float64, about the middle of the mesh.
    origin = corners.double().mean((0, 1))
    triangle = corners.double() - origin
    normal = 0.5 * torch.linalg.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0])
    area = normal.norm(dim=1)
    middle = triangle.mean(1)
    start, end = topology.node_start, topology.node_end

    def over_nodes(values: Tensor) -> Tensor:
        running = torch.cat([values.new_zeros(1, *values.shape[1:]), values.cumsum(0)])
        return running[end] - running[start]

    total = over_nodes(area)[:, None]
    plain = over_nodes(middle) / (end - start)[:, None]
    centre = torch.where(total > 0, over_nodes(area[:, None] * middle) / total.clamp(min=1e-300), plain)
    owner = torch.repeat_interleave(torch.arange(len(start), device=start.device), end - start)
    face = (
        torch.arange(len(owner), device=start.device)
        - ((end - start).cumsum(0) - (end - start) - start)[owner]
    )
    far = (triangle[face] - centre[owner, None]).norm(dim=-1).amax(1)
    radius = torch.zeros(len(start), dtype=torch.float64, device=start.device).scatter_reduce_(
        0, owner, far, "amax"
    )
    vector = over_nodes(normal)
    first = over_nodes(normal[:, :, None] * middle[:, None]) - vector[:, :, None] * centre[:, None]
    symmetric = 1.5 * (first + first.mT)
    trace = first.diagonal(dim1=-2, dim2=-1).sum(-1)
    quadrupole = symmetric - trace[:, None, None] * torch.eye(3, dtype=torch.float64, device=start.device)
    spread = ((triangle - middle[:, None]) ** 2).sum((1, 2)) / 12
    second = over_nodes(area * ((middle**2).sum(1) + spread)) - total[:, 0] * (centre**2).sum(1)
    found = (centre + origin, radius, vector, quadrupole, second.clamp(min=0))
    return Nodes(corners, *(x.to(vertices.dtype) for x in found))


def _far(offset: Tensor, r2: Tensor, nodes: Nodes, n: Tensor) -> tuple[Tensor, Tensor]:
    """Contribution of far nodes n to 16 queries each, and what it may miss; both times 4 pi."""
    u = r2.rsqrt()
    u2 = u * u
    along = (offset * nodes.area_vector[n, None]).sum(-1)
    bent = ((offset @ nodes.quadrupole[n]) * offset).sum(-1)
    rho = nodes.radius[n, None] * u
    rest = (3 - 2 * rho) / (1 - rho) ** 2
    return u * u2 * (along - bent * u2), u2 * u2 * rest * nodes.second_moment[n, None]


def winding_number(
    points: Tensor, vertices: Tensor, topology: MeshTopology, beta: float, slots: Tensor
) -> tuple[Tensor, Tensor]:
    """Winding number of one mesh around ``points (Q, 3)`` in block order ``slots``, and a bound: ``(Q,)``."""
    out = torch.zeros(2, len(points), dtype=points.dtype, device=points.device)
    if len(points) == 0 or len(topology.faces) == 0:
        return out[0], out[1]
    nodes = fit(vertices, topology)
    queries = torch.nan_to_num(points, 0.0, 0.0, 0.0)[slots].view(-1, BLOCK, 3)
    total, error = torch.zeros(2, *queries.shape[:2], dtype=points.dtype, device=points.device).unbind(0)
    start, end, skip = topology.node_start, topology.node_end, topology.node_skip
    lanes = torch.arange(LEAF_FACES, device=points.device)
    block = torch.arange(len(queries), device=points.device)
    node = torch.zeros_like(block)
    while len(block):
        next_block, next_node = [], []
        for s in range(0, len(block), _PAIRS):
            k, n = block[s : s + _PAIRS], node[s : s + _PAIRS]
            offset = nodes.centre[n, None] - queries[k]
            r2 = (offset * offset).sum(-1)
            away = r2.amin(1) > (beta * nodes.radius[n]) ** 2
            value, rest = _far(offset[away], r2[away], nodes, n[away])
            accumulate(total, k[away], value / (4 * math.pi))
            accumulate(error, k[away], rest / (4 * math.pi))
            k, n = k[~away], n[~away]
            leaf = skip[n] == n + 1
            for t in range(0, int(leaf.sum()), _PAIRS // 16):
                kl, nl = k[leaf][t : t + _PAIRS // 16], n[leaf][t : t + _PAIRS // 16]
                face = start[nl, None] + lanes
                real = face < end[nl, None]
                a, b, c = nodes.corners[face.clamp(max=len(nodes.corners) - 1)][:, None].unbind(-2)
                angle = reference.solid_angle(queries[kl][:, :, None], a, b, c)
                angle = torch.where(real[:, None], angle, 0.0).sum(-1)
                accumulate(total, kl, angle / (4 * math.pi))
            k, n = k[~leaf], n[~leaf]
            next_block += [k, k]
            next_node += [n + 1, skip[n + 1]]
        block, node = torch.cat(next_block), torch.cat(next_node)
    out[0, slots], out[1, slots] = total.flatten(), error.flatten()
    return out[0], out[1]


def inside(points: Tensor, vertices: Tensor, topology: MeshTopology) -> Tensor:
    """Which of ``points (Q, 3)`` have a winding number above one half: ``(Q,)`` bool, as the exact sum says.

    The tree is walked again with a larger ``beta`` for those whose bound leaves it open.
    """
    out = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    open_ = torch.arange(len(points), device=points.device)
    beta = _BETA_CLOSED if topology.closed else _BETA_OPEN
    low, high = (0.0, 1.0) if topology.closed else (0.5, 0.5)
    while len(open_) and beta < _WIDEST:
        w, error = winding_number(points[open_], vertices, topology, beta, block_slots(points[open_]))
        within, without = w - error - _ROUNDING > low, w + error + _ROUNDING < high
        out[open_] = within
        # Neither: the bound is too wide. Both: no whole number in between, a query on the surface.
        open_ = open_[within == without]
        beta *= _WIDEN
    if len(open_):
        exact = reference.winding_number(points[open_][None], vertices[None], topology.faces)[0]
        out[open_] = exact > 0.5
    return out


def block_slots(points: Tensor) -> Tensor:
    """Slots of points ``(n, 3)`` along a Morton curve: a quick block order."""
    safe = torch.nan_to_num(points.double(), 0.0, 0.0, 0.0)
    low, high = safe.amin(0), safe.amax(0)
    cell = ((safe - low) / (high - low).clamp(min=1e-30) * 1023).long()
    code = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    order = torch.argsort(code, stable=True)
    padded = torch.cat([order, order[-1:].expand(-len(order) % BLOCK)])
    return padded.view(-1, BLOCK).sort(dim=1).values.flatten()
