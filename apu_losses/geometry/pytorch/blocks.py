"""Blocks of 16 neighbouring points with boxes, and what is done with them in whole-tensor operations.

Bound all pairs of blocks by their boxes, evaluate for each minimum the pair of least bound, drop the pairs
whose bound exceeds what that gave, evaluate the rest. The bounds round no higher than the distances, so
pruning is exact to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from apu_losses.geometry.constants import BLOCK

BLOCK_PAIRS = 1 << 21  # bounds held at once: limits memory
TILES = 1 << 13  # tiles of 16 x 16 distances held at once: 8 MB of float32


class Blocks:
    """Vertices in block order with boxes; blocks that are not finite are marked bad.

    ``x (N, blocks, 16, 3)``; ``parts``: the three coordinates apart, which makes tiles several times faster.
    """

    def __init__(self, vertices: Tensor, slots: Tensor, size: int = BLOCK) -> None:
        shape = (len(vertices), len(slots) // size, size, 3)
        self.ids = slots.view(-1, size)
        self.x = vertices.index_select(1, slots).reshape(shape)
        self.parts = [self.x[..., c].contiguous() for c in range(3)]
        self.bad = ~torch.isfinite(self.x).flatten(2).all(2)
        safe = torch.where(self.bad[..., None, None], torch.zeros_like(self.x), self.x)
        self.lo, self.hi = safe.amin(2), safe.amax(2)


def bound(lo_a: Tensor, hi_a: Tensor, lo_b: Tensor, hi_b: Tensor) -> Tensor:
    """Lower bound of the squared distances of two boxes, rounded as the distances are."""
    gap = torch.maximum(lo_b - hi_a, lo_a - hi_b).clamp_(min=0)
    return (gap[..., 0] * gap[..., 0] + gap[..., 1] * gap[..., 1]) + gap[..., 2] * gap[..., 2]


def expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (2, 3): owners 0 0 1 1 1 and positions within the owner 0 1 0 1 2."""
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    starts = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - starts[owner]


def least(owner: Tensor, values: Tensor, count: int, start: float | int) -> Tensor:
    """Minimum of the values of each owner."""
    out = torch.full((count, *values.shape[1:]), start, dtype=values.dtype, device=values.device)
    index = owner.view(-1, *([1] * (values.dim() - 1))).expand_as(values)
    return out.scatter_reduce_(0, index, values, "amin")


def tiles(a: Blocks, b: Blocks, ra: Tensor, p: Tensor, rb: Tensor, q: Tensor) -> Tensor:
    """Squared distances ``(n, 16, 16)`` of blocks p of rows ra to blocks q of rows rb."""
    total = None
    for x, y in zip(a.parts, b.parts, strict=True):
        d = x[ra, p][:, :, None] - y[rb, q][:, None]
        total = d.square_() if total is None else total.add_(d.square_())
    assert total is not None
    return total


def tile_minima(a: Blocks, b: Blocks, ra: Tensor, p: Tensor, rb: Tensor, q: Tensor) -> Tensor:
    """Least squared distance in each tile (block p of row ra, block q of row rb)."""
    parts = [tiles(a, b, ra[s], p[s], rb[s], q[s]).flatten(1).amin(1) for s in slices(len(p))]
    return torch.cat(parts) if parts else a.x.new_zeros(0)


def slices(count: int) -> Iterator[slice]:
    return (slice(s, s + TILES) for s in range(0, count, TILES))
