"""Triton kernels of the soft minimum and of its gradient."""

from __future__ import annotations

import triton
import triton.language as tl

from apu_losses.geometry.cuda.common import load3, not_finite, squared


@triton.jit(do_not_specialize=["count_a", "count_b"])
def soft_min_kernel(
    verts_a, verts_b, row_a, row_b, group_a, group_b, offsets_a, ids_a, offsets_b, ids_b,
    part_least, part_sum, count_a, count_b, temperature, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Return running minimum and rescaled sum, as in online softmax, of a share of an edge's first group.

    The sum is NaN where a vertex is not finite.
    """
    k = tl.program_id(0).to(tl.int64)
    parts = tl.num_programs(1)
    a = verts_a + tl.load(row_a + k) * count_a * 3
    b = verts_b + tl.load(row_b + k) * count_b * 3
    ga = tl.load(group_a + k)
    gb = tl.load(group_b + k)
    start_a = tl.load(offsets_a + ga)
    size_a = tl.load(offsets_a + ga + 1) - start_a
    start_b = tl.load(offsets_b + gb)
    size_b = tl.load(offsets_b + gb + 1) - start_b
    lane_a = tl.arange(0, BM)
    lane_b = tl.arange(0, BN)
    least = tl.full((BM, BN), float("inf"), tl.float32)
    total = tl.zeros((BM, BN), tl.float32)
    bad = tl.zeros((BM, BN), tl.int32)
    for u in range(tl.program_id(1) * BM, size_a, parts * BM):
        in_a = (u + lane_a) < size_a
        i = tl.load(ids_a + start_a + u + lane_a, mask=in_a, other=0)
        ax, ay, az = load3(a, i, in_a)
        for w in range(0, size_b, BN):
            in_b = (w + lane_b) < size_b
            j = tl.load(ids_b + start_b + w + lane_b, mask=in_b, other=0)
            bx, by, bz = load3(b, j, in_b)
            real = in_a[:, None] & in_b[None, :]
            d2 = squared(ax[:, None] - bx[None, :], ay[:, None] - by[None, :], az[:, None] - bz[None, :])
            bad = bad | tl.where(real, (not_finite(ax, ay, az)[:, None] | not_finite(bx, by, bz)[None, :]), 0)
            d2 = tl.where(real & (d2 == d2), d2, float("inf"))
            m = tl.minimum(least, d2)
            some = m < float("inf")
            shrink = tl.exp(tl.where(some, (m - least) / temperature, 0.0))
            extra = tl.exp(tl.where(some, (m - d2) / temperature, -float("inf")))
            total = tl.where(some, total * shrink + extra, total)
            least = m
    low = tl.min(tl.min(least, axis=1), axis=0)
    some = least < float("inf")
    scaled = total * tl.exp(tl.where(some, (low - least) / temperature, -float("inf")))
    s = tl.sum(tl.sum(tl.where(some, scaled, 0.0), axis=1), axis=0)
    poisoned = tl.max(tl.max(bad, axis=1), axis=0) > 0
    at = k * parts + tl.program_id(1)
    tl.store(part_least + at, low)
    tl.store(part_sum + at, tl.where(poisoned, float("nan"), s))


@triton.jit(do_not_specialize=["edges"])
def soft_join_kernel(
    part_least, part_sum, out, out_least, out_sum, edges, temperature, BM: tl.constexpr, PARTS: tl.constexpr
):
    """Return the soft minimum, the minimum and the sum of each of BM edges from those of its parts."""
    k = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    real = k < edges
    at = k[:, None] * PARTS + tl.arange(0, PARTS)[None, :]
    least = tl.load(part_least + at, mask=real[:, None], other=float("inf"))
    sums = tl.load(part_sum + at, mask=real[:, None], other=0.0)
    bad = sums != sums
    poisoned = tl.max(bad.to(tl.int32), axis=1) > 0
    low = tl.min(least, axis=1)
    some = (least < float("inf")) & (bad == 0)
    shrink = tl.exp(tl.where(some, (low[:, None] - least) / temperature, 0.0))
    s = tl.sum(tl.where(some, sums * shrink, 0.0), axis=1)
    found = low < float("inf")
    value = tl.where(found, low - temperature * tl.log(tl.where(found & (s > 0.0), s, 1.0)), float("inf"))
    tl.store(out + k, tl.where(poisoned, float("nan"), value), mask=real)
    tl.store(out_least + k, tl.where(found, low, 0.0), mask=real)
    tl.store(out_sum + k, tl.where(found & (poisoned == 0), s, 0.0), mask=real)


@triton.jit(do_not_specialize=["count_a", "count_b"])
def soft_gradient_kernel(
    verts_a, verts_b, row_a, row_b, group_a, group_b, offsets_a, ids_a, offsets_b, ids_b,
    least, sums, gradient, first, out, count_a, count_b, temperature, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Gradient of edge k for its first side, into ``out[first[k]:]``; the other side by swapping."""
    k = tl.program_id(0).to(tl.int64)
    a = verts_a + tl.load(row_a + k) * count_a * 3
    b = verts_b + tl.load(row_b + k) * count_b * 3
    ga = tl.load(group_a + k)
    gb = tl.load(group_b + k)
    start_a = tl.load(offsets_a + ga)
    size_a = tl.load(offsets_a + ga + 1) - start_a
    start_b = tl.load(offsets_b + gb)
    size_b = tl.load(offsets_b + gb + 1) - start_b
    lane_b = tl.arange(0, BN)
    u = tl.program_id(1) * BM + tl.arange(0, BM)
    s = tl.load(sums + k)
    if tl.program_id(1) * BM < size_a:
        low = tl.load(least + k)
        scale = 2.0 * tl.load(gradient + k) / tl.where(s > 0.0, s, 1.0)
        in_a = u < size_a
        i = tl.load(ids_a + start_a + u, mask=in_a, other=0)
        ax, ay, az = load3(a, i, in_a)
        gx = tl.zeros((BM, BN), tl.float32)
        gy = tl.zeros((BM, BN), tl.float32)
        gz = tl.zeros((BM, BN), tl.float32)
        # An edge without a finite minimum has no gradient.
        for w in range(0, tl.where(s > 0.0, size_b, 0), BN):
            in_b = (w + lane_b) < size_b
            j = tl.load(ids_b + start_b + w + lane_b, mask=in_b, other=0)
            bx, by, bz = load3(b, j, in_b)
            dx = ax[:, None] - bx[None, :]
            dy = ay[:, None] - by[None, :]
            dz = az[:, None] - bz[None, :]
            weight = scale * tl.exp((low - squared(dx, dy, dz)) / temperature)
            weight = tl.where(in_a[:, None] & in_b[None, :], weight, 0.0)
            # A difference that overflows times a weight of zero would be NaN.
            kept = weight != 0.0
            gx += tl.where(kept, weight * dx, 0.0)
            gy += tl.where(kept, weight * dy, 0.0)
            gz += tl.where(kept, weight * dz, 0.0)
        to = out + (tl.load(first + k) + u) * 3
        tl.store(to, tl.sum(gx, axis=1), mask=in_a)
        tl.store(to + 1, tl.sum(gy, axis=1), mask=in_a)
        tl.store(to + 2, tl.sum(gz, axis=1), mask=in_a)
