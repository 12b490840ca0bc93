"""What one thread of this machine can do at most, and what work each operator cannot do without."""

from __future__ import annotations

import time

import numpy as np
import torch
from kernels_peers import Embrace

from apu_losses.functional import geometry as g
from apu_losses.kernels.blocks import _Blocks, _bound
from apu_losses.kernels.cpu.jit import inlined, kernel
from apu_losses.kernels.cpu.simd import LANES, fused, splat, store
from apu_losses.kernels.cpu.winding import NODE, fit_tree

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
def _count_walk(x, blocks, nodes, skip, leaf_size, box, beta):
    """Nodes visited, dipoles and solid angles (each of 16 lanes) of the tree walk of `cpu.winding`."""
    visits = 0
    dipoles = 0
    angles = 0
    for u in range(blocks):
        within = False
        for lane in range(LANES):
            ok = True
            for c in range(3):
                ok &= x[c, u * LANES + lane] >= box[0, c] and x[c, u * LANES + lane] <= box[1, c]
            within |= ok
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
            else:
                if skip[n] == n + 1:
                    angles += leaf_size[n]
                n += 1
    return visits, dipoles, angles


def _walk_work(e: Embrace) -> float:
    """Operations of the inside test of all vertices of a in b."""
    t = e.topology
    order, start, end, skip = (x.numpy() for x in (t.face_order, t.node_start, t.node_end, t.node_skip))
    triangles = np.empty((len(order), 9), np.float32)
    nodes, spans = np.empty((len(start), NODE), np.float32), np.empty((len(start), 2, 3), np.float32)
    fit_tree(e.b[0].numpy(), t.faces.numpy(), order, start, end, skip, triangles, nodes, spans)
    x = np.ascontiguousarray(e.a[0][t.slots].numpy().T)
    visits, dipoles, angles = _count_walk(
        x, x.shape[1] // LANES, nodes, skip, end - start, spans[0], np.float32(1.6)
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


def counted_work(e: Embrace, pairs: g.RegionPairs) -> dict[str, tuple[float, float]]:
    """Floating-point operations that pruning by boxes cannot avoid, and bytes in and out, for each operator.

    All bounds of block pairs, and the tiles whose bound does not exceed the final distance. What the kernels
    evaluate before they know that distance comes on top and shows as a share below one.
    """
    a, b = _Blocks(e.a, e.regions.slots), _Blocks(e.b, e.regions.slots)
    bounds = _bound(a.lo[0, :, None], a.hi[0, :, None], b.lo[0, None], b.hi[0, None])
    best = g.region_distance_matrix(e.a, e.b, e.regions).distance2[0]
    region = torch.repeat_interleave(torch.arange(len(e.regions)), e.regions.block_offsets.diff())
    needed = bounds <= best[region][:, region]
    per_pair_bounds = e.regions.block_offsets.diff()
    wanted = torch.zeros_like(best, dtype=torch.bool)
    wanted[pairs.group_a, pairs.group_b] = True
    in_pairs = wanted[region][:, region]
    vertices = 2 * e.a.numel() * 4
    out: dict[str, tuple[float, float]] = {}
    out["sparse 30 pairs"] = (
        float(in_pairs.sum()) * _BOUND + float((needed & in_pairs).sum()) * _TILE,
        float(per_pair_bounds[pairs.group_a].sum() + per_pair_bounds[pairs.group_b].sum()) * 16 * 12,
    )
    out["matrix"] = (
        float(needed.numel()) * _BOUND + float(needed.sum()) * _TILE,
        vertices + best.numel() * 20,
    )
    qa, qb = _Blocks(e.a, e.topology.slots), _Blocks(e.b, e.topology.slots)
    bounds = _bound(qa.lo[0, :, None], qa.hi[0, :, None], qb.lo[0, None], qb.hi[0, None])
    near = g.nearest_vertex(e.a, e.b, points_topology=e.topology, vertices_topology=e.topology).distance2[0]
    worst = near[e.topology.slots].view(-1, 16).amax(1)
    tiles = float((bounds <= worst[:, None]).sum())
    out["inside"] = (_walk_work(e), vertices + e.topology.faces.numel() * 8 + near.numel() * 4)
    closest = g.nearest_surface(e.a, e.b, e.topology, points_topology=e.topology).distance2[0]
    corners = e.b[0][e.topology.faces[e.topology.face_slots.view(-1, 8)]].flatten(1, 2)
    low, high = corners.amin(1), corners.amax(1)
    to_faces = _bound(qa.lo[0, :, None], qa.hi[0, :, None], low[None], high[None])
    visited = float((to_faces <= closest[e.topology.slots].view(-1, 16).amax(1)[:, None]).sum())
    out["nearest surface"] = (
        to_faces.numel() * _BOUND + visited * 8 * LANES * _CLOSEST,
        vertices + e.topology.faces.numel() * 8 + near.numel() * 24,
    )
    within = g.inside(e.a, e.b, e.topology, points_topology=e.topology)[0]
    asking = within[e.topology.slots].view(-1, 16).any(1)  # blocks of queries that hold a vertex inside
    furthest = torch.where(within, closest, torch.zeros_like(closest))[e.topology.slots].view(-1, 16).amax(1)
    visited = float((to_faces <= furthest[:, None])[asking].sum())
    out["penetration fwd+bwd"] = (
        out["inside"][0] + float(asking.sum()) * len(low) * _BOUND + visited * 8 * LANES * _CLOSEST,
        out["inside"][1] + vertices + near.numel() * 24,
    )
    out["nearest vertex"] = (bounds.numel() * _BOUND + tiles * _TILE, vertices + near.numel() * 12)
    return out
