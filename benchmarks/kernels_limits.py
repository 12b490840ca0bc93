"""What one thread of this machine can do at most, and what work each operator cannot do without."""

from __future__ import annotations

import time

import numpy as np
import torch
from kernels_peers import Embrace
from torch import Tensor

from apu_losses import geometry as g
from apu_losses.geometry.cpu.simd import LANES, fused, splat, store
from apu_losses.geometry.cpu.winding import (
    NODE,
    OUTLINE,
    fit_outlines,
    fit_tree,
    is_leaf,
    lanes_in_outlines,
)
from apu_losses.geometry.pytorch.blocks import bound
from apu_losses.numerics.jit import inlined, kernel

_TILE = 16 * 16 * 8  # three differences, three squares, two sums for each distance
_BOUND = 17  # six differences, six maxima, three squares, two sums
_ANGLE = 110  # a solid angle with its arc tangent
_NODE = 12  # distance to a node
_DIPOLE = 45  # dipole, quadrupole and bound
_CLOSEST = 115  # closest point on a triangle


@inlined
def _chain(a, b, c):
    return fused(a, b, c)


@kernel
def _multiply_add(rounds, out):
    """Ten independent chains of fused multiply-adds: enough to hide their latency."""
    x = splat(np.float32(0.999))
    y = splat(np.float32(0.001))
    a = b = c = d = e = f = g = h = i = j = x
    for _ in range(rounds):
        a = _chain(a, x, y)
        b = _chain(b, x, y)
        c = _chain(c, x, y)
        d = _chain(d, x, y)
        e = _chain(e, x, y)
        f = _chain(f, x, y)
        g = _chain(g, x, y)
        h = _chain(h, x, y)
        i = _chain(i, x, y)
        j = _chain(j, x, y)
    for k, v in enumerate((a, b, c, d, e, f, g, h, i, j)):
        store(out, k * LANES, v)


@kernel
def _count_walk(x, blocks, nodes, start, end, skip, box, scale, outlines, beta):
    """Nodes visited, dipoles and solid angles (each of 16 lanes) of the tree walk of `cpu.winding`."""
    visits = 0
    dipoles = 0
    angles = 0
    for u in range(blocks):
        within = np.int32(0)
        for lane in range(LANES):
            ok = True
            for c in range(3):
                ok &= x[c, u * LANES + lane] >= box[0, c] and x[c, u * LANES + lane] <= box[1, c]
            within |= np.int32(ok << lane)
        within = lanes_in_outlines(within, x, u * LANES, box[0], scale, outlines)
        n = 0 if within else len(skip)
        while n < len(skip):
            visits += 1
            near = np.float32(np.inf)
            for lane in range(LANES):
                d2 = np.float32(0)
                for c in range(3):
                    d = nodes[n, c] - x[c, u * LANES + lane]
                    d2 += d * d
                near = min(near, d2)
            reach = nodes[n, 3] * beta
            if near > reach * reach:
                dipoles += 1
                n = skip[n]
            elif is_leaf(start, end, skip, n):
                angles += end[n] - start[n]
                n = skip[n]
            else:
                n += 1
    return visits, dipoles, angles


def _walk_work(e: Embrace) -> float:
    """Operations of the inside test of all vertices of a in b."""
    t = e.topology
    order, start, end, skip = (x.numpy() for x in (t.face_order, t.node_start, t.node_end, t.node_skip))
    triangles = np.empty((len(order), 9), np.float32)
    nodes, spans = np.empty((len(start), NODE), np.float32), np.empty((len(start), 2, 3), np.float32)
    fit_tree(e.b[0].numpy(), t.faces.numpy(), order, start, end, skip, triangles, nodes, spans)
    scale, outlines = np.empty(3, np.float32), np.empty((3, OUTLINE, OUTLINE, 2), np.float32)
    fit_outlines(start, end, skip, spans, scale, outlines)
    x = np.ascontiguousarray(e.a[0][t.slots].numpy().T)
    visits, dipoles, angles = _count_walk(
        x, x.shape[1] // LANES, nodes, start, end, skip, spans[0], scale, outlines, np.float32(1.6)
    )
    return float(LANES * (visits * _NODE + dipoles * _DIPOLE + angles * _ANGLE))


def _best(call: object, repeats: int = 7) -> float:
    call()  # type: ignore[operator]
    took = []
    for _ in range(repeats):
        begin = time.thread_time()
        call()  # type: ignore[operator]
        took.append(time.thread_time() - begin)
    return min(took)


def peak_multiply_add(rounds: int = 2_000_000) -> float:
    """Floating-point operations a second, a multiply-add counted as two."""
    out = np.zeros(10 * LANES, np.float32)
    return rounds * 10 * LANES * 2 / _best(lambda: _multiply_add(rounds, out))


def peak_copy(megabytes: int = 256) -> float:
    """Bytes read and written a second by a plain copy much larger than the caches."""
    source = torch.zeros(megabytes << 18)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / _best(lambda: target.copy_(source))


def _blocks_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes ``(N, 3)`` of blocks of points ``(N, n, 3)``."""
    return rows.amin(1), rows.amax(1)


def _needed(lanes: Tensor, limits: Tensor, low: Tensor, high: Tensor, asking: Tensor, other: Tensor) -> int:
    """Of the block pairs (asking, other), those in which a lane cannot do without the other block.

    ``lanes (N, 16, 3)`` points of the asking blocks, ``limits (pairs, 16)`` squared distance that the lanes
    ended with, ``low, high (M, 3)`` boxes of the other blocks.
    """
    count = 0
    for s in range(0, len(asking), 1 << 16):
        part = slice(s, s + (1 << 16))
        points = lanes[asking[part]]
        low_bound = bound(points, points, low[other[part], None], high[other[part], None])
        count += int((low_bound <= limits[part]).any(1).sum())
    return count


def _work(bounds: int, near: int, needed: int, block: float) -> float:
    """Operations for bounds of block pairs, of 16 lanes where these are near, and of blocks evaluated."""
    return bounds * _BOUND + near * LANES * _BOUND + needed * block


def _search(lanes: Tensor, best: Tensor, low: Tensor, high: Tensor, block: float) -> float:
    """Operations of a search from blocks of 16 queries ``lanes (N, 16, 3)`` in blocks with boxes ``(M, 3)``.

    ``best (N, 16)``: the squared distances that it finds; negative for lanes that do not ask.
    """
    asks = torch.nonzero(best.amax(1) >= 0)[:, 0]
    lo, hi = _blocks_of(lanes[asks])
    near = bound(lo[:, None], hi[:, None], low[None], high[None]) <= best[asks].amax(1)[:, None]
    k, other = torch.nonzero(near, as_tuple=True)
    needed = _needed(lanes, best[asks[k]], low, high, asks[k], other)
    return _work(near.numel(), len(k), needed, block)


def _region_work(e: Embrace, wanted: Tensor) -> float:
    """Operations of the region minima ``wanted (R, R)``."""
    best = g.region_distance_matrix(e.a, e.b, e.regions).distance2[0]
    region = torch.repeat_interleave(torch.arange(len(e.regions)), e.regions.block_offsets.diff())
    a, b = (x[0][e.regions.slots].view(-1, LANES, 3) for x in (e.a, e.b))
    (lo_a, hi_a), (lo_b, hi_b) = _blocks_of(a), _blocks_of(b)
    asked = wanted[region][:, region]
    limit = best[region][:, region]
    bounds = bound(lo_a[:, None], hi_a[:, None], lo_b[None], hi_b[None])
    p, q = torch.nonzero(asked & (bounds <= limit), as_tuple=True)
    needed = _needed(b, limit[p, q, None], lo_a, hi_a, q, p)
    return _work(int(asked.sum()), len(p), needed, _TILE)


def counted_work(e: Embrace, pairs: g.RegionPairs) -> dict[str, tuple[float, float]]:
    """Floating-point operations that pruning by boxes cannot avoid, and bytes in and out, for each operator.

    The kernels bound all pairs of blocks, then each of 16 lanes where the blocks are near, and evaluate what
    is left; counted with the distances that they end with. What they evaluate before they know these comes on
    top (for the inside test: the finer walks), so the shares are too small, never too large.
    """
    blocks = e.regions.block_offsets.diff()
    regions, count = len(e.regions), e.a.shape[1]
    wanted = torch.zeros(regions, regions, dtype=torch.bool)
    wanted[pairs.group_a, pairs.group_b] = True
    vertices = 2 * e.a.numel() * 4
    out: dict[str, tuple[float, float]] = {}
    out["sparse 30 pairs"] = (
        _region_work(e, wanted),
        float(blocks[pairs.group_a].sum() + blocks[pairs.group_b].sum()) * 16 * 12,
    )
    out["matrix"] = (_region_work(e, torch.ones_like(wanted)), vertices + regions**2 * 20)
    t = e.topology
    inside = _walk_work(e)
    out["inside"] = (inside, vertices + t.faces.numel() * 8 + count * 4)
    queries, targets = (x[0][t.slots].view(-1, LANES, 3) for x in (e.a, e.b))
    faces = _blocks_of(e.b[0][t.faces[t.face_slots.view(-1, 8)]].flatten(1, 2))
    closest = g.nearest_surface(e.a, e.b, t, points_topology=t).distance2[0]
    surface = 8 * LANES * _CLOSEST
    out["nearest surface"] = (
        _search(queries, closest[t.slots].view(-1, LANES), *faces, surface),
        vertices + t.faces.numel() * 8 + count * 24,
    )
    deep = torch.where(g.inside(e.a, e.b, t, points_topology=t)[0], closest, -1.0)
    out["penetration fwd+bwd"] = (
        inside + _search(queries, deep[t.slots].view(-1, LANES), *faces, surface),
        out["inside"][1] + vertices + count * 24,
    )
    near = g.nearest_vertex(e.a, e.b, points_topology=t, vertices_topology=t).distance2[0]
    out["nearest vertex"] = (
        _search(queries, near[t.slots].view(-1, LANES), *_blocks_of(targets), _TILE),
        vertices + count * 12,
    )
    return out
