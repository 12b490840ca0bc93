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
from apu_losses.geometry.constants import (
    BLOCK,
    LEAF_FACES,
    OPEN_CLOSED,
    OPEN_MORE,
    OPEN_OPEN,
    OPEN_WIDEST,
    WINDING_ROUNDING,
)
from apu_losses.geometry.pytorch.items import listed
from apu_losses.geometry.requests import FaceTree, InsideSearch, WindingSearch
from apu_losses.geometry.scatter import accumulate

_PAIRS = 1 << 16  # pairs of query block and node looked at together: 13 MB of float32


class Nodes(NamedTuple):
    """A refitted tree: ``corners (F, 3, 3)`` in tree order and, per node, what a far query sees of it."""

    corners: Tensor
    centre: Tensor
    radius: Tensor
    area_vector: Tensor
    quadrupole: Tensor
    second_moment: Tensor


def fit(vertices: Tensor, tree: FaceTree) -> Nodes:
    """Refit the tree to a pose. ``quadrupole (N, 3, 3)`` is three times the symmetric, traceless part of the
    first moments of the area vectors.
    """
    corners = vertices[tree.faces[tree.face_order]]
    # Moments are differences of running sums: in float64, about the middle of the mesh.
    origin = corners.double().mean((0, 1))
    triangle = corners.double() - origin
    normal = 0.5 * torch.linalg.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0])
    area = normal.norm(dim=1)
    middle = triangle.mean(1)
    start, end = tree.node_start, tree.node_end

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


def walk(
    points: Tensor, vertices: Tensor, tree: FaceTree, beta: float, slots: Tensor
) -> tuple[Tensor, Tensor]:
    """Winding number of one mesh around ``points (Q, 3)`` in block order ``slots``, and a bound: ``(Q,)``."""
    out = torch.zeros(2, len(points), dtype=points.dtype, device=points.device)
    if len(points) == 0 or len(tree.faces) == 0:
        return out[0], out[1]
    nodes = fit(vertices, tree)
    queries = torch.nan_to_num(points, 0.0, 0.0, 0.0)[slots].view(-1, BLOCK, 3)
    total, error = torch.zeros(2, *queries.shape[:2], dtype=points.dtype, device=points.device).unbind(0)
    start, end, skip = tree.node_start, tree.node_end, tree.node_skip
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


def certainly_inside(points: Tensor, vertices: Tensor, tree: FaceTree) -> Tensor:
    """Which of ``points (Q, 3)`` have a winding number above one half: ``(Q,)`` bool, as the exact sum says.

    The tree is walked again with a larger ``beta`` for those whose bound leaves it open.
    """
    out = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    open_ = torch.arange(len(points), device=points.device)
    beta = OPEN_CLOSED if tree.closed else OPEN_OPEN
    low, high = (0.0, 1.0) if tree.closed else (0.5, 0.5)
    while len(open_) and beta < OPEN_WIDEST:
        w, error = walk(points[open_], vertices, tree, beta, block_slots(points[open_]))
        within, without = w - error - WINDING_ROUNDING > low, w + error + WINDING_ROUNDING < high
        out[open_] = within
        # Neither: the bound is too wide. Both: no whole number in between, a query on the surface.
        open_ = open_[within == without]
        beta *= OPEN_MORE
    if len(open_):
        exact = reference.winding_numbers(points[open_][None], vertices[None], tree.faces)[0]
        out[open_] = exact > 0.5
    return out


@torch.no_grad()
def winding_number(search: WindingSearch) -> tuple[Tensor, Tensor]:
    """Winding numbers by "tree", "exact" or "rays", and bounds on their errors."""
    query, vertices, tree = search.query, search.vertices, search.tree
    points = query.points
    out = torch.zeros(2, *query.shape, dtype=points.dtype, device=points.device)
    used = vertices[:, torch.unique(tree.faces)] if len(tree.faces) else vertices[:, :0]
    for i, (p, m) in enumerate(listed(query, vertices) if used.shape[1] else ()):
        own = _asked(points[p], used[m], None if query.wanted is None else query.wanted[i], search.boxed)
        part, slots = (points[p], query.slots) if own is None else (points[p][own], None)
        at = slice(None) if own is None else own
        if search.method == "tree":
            slots = block_slots(part) if slots is None and len(part) else slots
            if slots is not None:
                out[0, i, at], out[1, i, at] = walk(part, vertices[m], tree, search.beta, slots)
        else:
            exact = reference.ray_crossings if search.method == "rays" else reference.winding_numbers
            out[0, i, at] = exact(part[None], vertices[m : m + 1], tree.faces)[0]
    none = torch.zeros_like(out[0], dtype=torch.int64)
    value, bound = (reference.poison(points, used, x, none, query.rows)[0] for x in out)
    return value, bound


def _asked(points: Tensor, used: Tensor, wanted: Tensor | None, boxed: bool) -> Tensor | None:
    """Mask of the points to look at: those wanted, and in the box of the mesh if ``boxed``; None for all."""
    if not boxed:
        return wanted
    in_box = ((points >= used.amin(0)) & (points <= used.amax(0))).all(1)
    return in_box if wanted is None else in_box & wanted


@torch.no_grad()
def inside(search: InsideSearch) -> Tensor:
    """Return the inside test by the tree, opened as far as it takes to be certain."""
    query, vertices, tree = search.query, search.vertices, search.tree
    out = torch.zeros(query.shape, dtype=torch.bool, device=query.points.device)
    used = vertices[:, torch.unique(tree.faces)] if len(tree.faces) else vertices[:, :0]
    for i, (p, m) in enumerate(listed(query, vertices) if used.shape[1] else ()):
        points = query.points[p]
        own = _asked(points, used[m], None if query.wanted is None else query.wanted[i], True)
        if bool(torch.isfinite(used[m]).all()):
            out[i, own] = certainly_inside(points[own], vertices[m], tree)
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
