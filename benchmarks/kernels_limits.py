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

_TILE = 16 * 16 * 8  # three differences, three squares, two sums for each distance
_BOUND = 17  # six differences, six maxima, three squares, two sums
_ANGLE = 120  # a solid angle with its arc tangent, about


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


def _best(call: object, repeats: int = 7) -> float:
    call()  # type: ignore[operator]
    took = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()  # type: ignore[operator]
        took.append(time.perf_counter() - begin)
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
    out["nearest vertex"] = (bounds.numel() * _BOUND + tiles * _TILE, vertices + near.numel() * 12)
    return out
