"""What the Triton kernels share: loading points, differences, which rows an item names.

Distances are rounded as in the reference: no fused multiply-adds (``enable_fp_fusion=False`` at every
launch), the same order of operations. Minima carry (distance, index) and compare both, so the order of the
threads never shows.

Counts are not specialised: a kernel that was compiled serves any batch and any mesh.

The kernels of this folder pass in Triton's interpreter and compile ahead for sm_80, sm_90 and gfx942.
`benchmarks/results/` says on which GPUs they ran. They have not run on an AMD GPU.
"""

from __future__ import annotations

import triton
import triton.language as tl

FAR = tl.constexpr(0x7FFFFFFFFFFFFFFF)


@triton.jit
def load3(base, index, mask):
    """Coordinates of vertices ``index`` of a body."""
    x = tl.load(base + index * 3, mask=mask, other=0.0)
    y = tl.load(base + index * 3 + 1, mask=mask, other=0.0)
    z = tl.load(base + index * 3 + 2, mask=mask, other=0.0)
    return x, y, z


@triton.jit
def not_finite(x, y, z):
    """1 where a coordinate is NaN or infinite: zero times it is not zero."""
    return (((x * 0.0 + y * 0.0) + z * 0.0) != 0.0).to(tl.int32)


@triton.jit
def squared(dx, dy, dz):
    return (dx * dx + dy * dy) + dz * dz


@triton.jit
def dot(ax, ay, az, bx, by, bz):
    return (ax * bx + ay * by) + az * bz


@triton.jit
def item_rows(row_q, row_m, rows_q, rows_m, item, HAS_ROWS: tl.constexpr):
    """Row of the points and row of the mesh of an item, and whether one of them does not exist."""
    own = item
    mesh = item
    wrong = item < 0
    if HAS_ROWS:
        own = tl.load(row_q + item)
        mesh = tl.load(row_m + item)
        wrong = (own < 0) | (own >= rows_q) | (mesh < 0) | (mesh >= rows_m)
        own = tl.where(wrong, 0, own)
        mesh = tl.where(wrong, 0, mesh)
    return own, mesh, wrong


@triton.jit(do_not_specialize=["count"])
def finite_kernel(values, out, count, BN: tl.constexpr):
    """Whether all ``count`` numbers of an item are finite."""
    item = tl.program_id(0).to(tl.int64)
    bad = tl.zeros((BN,), tl.int32)
    for k in range(0, count, BN):
        at = k + tl.arange(0, BN)
        x = tl.load(values + item * count + at, mask=at < count, other=0.0)
        bad = bad | (x * 0.0 != 0.0).to(tl.int32)
    tl.store(out + item, 1 - tl.max(bad, axis=0))


@triton.jit
def corners_of(vertices, faces, order, k, mask):
    """Corners of the faces k of a tree order."""
    f = tl.load(order + k, mask=mask, other=0) * 3
    x0, y0, z0 = load3(vertices, tl.load(faces + f, mask=mask, other=0), mask)
    x1, y1, z1 = load3(vertices, tl.load(faces + f + 1, mask=mask, other=0), mask)
    x2, y2, z2 = load3(vertices, tl.load(faces + f + 2, mask=mask, other=0), mask)
    return x0, y0, z0, x1, y1, z1, x2, y2, z2
