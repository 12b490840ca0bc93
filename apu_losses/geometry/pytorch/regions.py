"""Minima between groups of vertices, pruned by blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.geometry.constants import BLOCK
from apu_losses.geometry.pytorch import blocks
from apu_losses.geometry.pytorch.blocks import Blocks, bound, expand, least, slices, tile_minima, tiles
from apu_losses.geometry.requests import (
    Bodies,
    Ends,
    MatrixSearch,
    NearestSearch,
    RegionLayout,
    RegionSearch,
    Side,
    Unions,
)


def check_edges(search: RegionSearch) -> None:
    """Refuse edges that do not exist.

    Raises:
        ValueError: an edge that names a row or a group beyond the last.
    """
    for side, groups in zip(search.sides, search.groups, strict=True):
        rows, row, group = len(side.vertices), side.row, side.group
        wrong = (row < 0) | (row >= rows) | (group < 0) | (group >= groups)
        if bool(wrong.any()):
            raise ValueError(
                f"pairs.row_{side.name}, pairs.group_{side.name} must be rows below {rows} and groups "
                f"below {groups}, got rows {row.tolist()[:8]} and groups {group.tolist()[:8]}"
            )


class _Lists(NamedTuple):
    """Blocks of each group as CSR."""

    offsets: Tensor
    blocks: Tensor

    @classmethod
    def of(cls, layout: RegionLayout, unions: Unions | None) -> _Lists:
        offsets = layout.block_offsets
        if unions is None:
            return cls(offsets, torch.arange(int(offsets[-1]), device=offsets.device))
        sizes = offsets.diff()[unions.regions]
        owner, within = expand(sizes)
        ends = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        return cls(ends[unions.offsets], offsets[unions.regions][owner] + within)


class _Pairs(NamedTuple):
    """Pairs of blocks: the edge of each pair, block p of row ra of a, block q of row rb of b."""

    owner: Tensor
    ra: Tensor
    p: Tensor
    rb: Tensor
    q: Tensor

    def at(self, kept: Tensor) -> _Pairs:
        return _Pairs(*(x[kept] for x in self))

    @property
    def tiles(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self[1:]


@torch.no_grad()
def region_min(search: RegionSearch, limit: float = math.inf) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_min` without gradient."""
    check_edges(search)
    one, other = search.sides
    lists_a, lists_b = (_Lists.of(side.layout, search.unions) for side in (one, other))
    a, b = (Blocks(side.vertices, side.layout.slots) for side in (one, other))
    size_a, size_b = lists_a.offsets.diff()[one.group], lists_b.offsets.diff()[other.group]
    out: list[tuple[Tensor, Tensor, Tensor]] = []
    for part in _edge_slices(size_a * size_b):
        owner, within = expand((size_a * size_b)[part])
        wide = size_b[part][owner]
        p = lists_a.blocks[lists_a.offsets[one.group[part]][owner] + within // wide]
        q = lists_b.blocks[lists_b.offsets[other.group[part]][owner] + within % wide]
        pairs = _Pairs(owner, one.row[part][owner], p, other.row[part][owner], q)
        out.append(_edges(a, b, pairs, len(one.row[part]), other.vertices.shape[1], limit))
    if not out:
        none = one.row.new_zeros(0)
        return one.vertices.new_zeros(0), none, none.clone()
    d2, index_a, index_b = (torch.cat(t) for t in zip(*out, strict=True))
    return d2, index_a, index_b


def _edge_slices(sizes: Tensor) -> Iterator[slice]:
    """Return runs of edges whose block pairs fit in memory together."""
    start = held = 0
    for k, size in enumerate(sizes.tolist()):
        if held and held + size > blocks.BLOCK_PAIRS:
            yield slice(start, k)
            start, held = k, 0
        held += size
    if len(sizes) > start:
        yield slice(start, len(sizes))


def _edges(
    a: Blocks, b: Blocks, pairs: _Pairs, edges: int, count_b: int, limit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimum of each edge over its pairs of blocks."""
    owner, ra, p, rb, q = pairs
    bad = torch.zeros(edges, dtype=torch.int8, device=owner.device)
    bad.scatter_reduce_(0, owner, (a.bad[ra, p] | b.bad[rb, q]).to(torch.int8), "amax")
    low = bound(a.lo[ra, p], a.hi[ra, p], b.lo[rb, q], b.hi[rb, q])
    # One block pair of least bound for each edge gives the first upper bound.
    lowest = least(owner, low, edges, math.inf)
    at = torch.arange(len(owner), device=owner.device)
    seed = least(owner, torch.where(low == lowest[owner], at, len(owner)), edges, len(owner))
    seed = seed[(seed < len(owner)) & (bad == 0)]
    best = a.x.new_full((edges,), limit)
    first = tile_minima(a, b, *pairs.at(seed).tiles)
    best.scatter_reduce_(0, owner[seed], first, "amin")
    keep = ((low <= best[owner]) & (bad[owner] == 0)).nonzero()[:, 0]
    pairs = pairs.at(keep)
    owner = pairs.owner
    minima = tile_minima(a, b, *pairs.tiles)
    best = torch.minimum(best, least(owner, minima, edges, math.inf))
    found = best < limit
    # Among the tiles that reach the minimum, the lowest pair of ids.
    hit = ((minima == best[owner]) & found[owner]).nonzero()[:, 0]
    keys = []
    for s in slices(len(hit)):
        h = hit[s]
        these = pairs.at(h)
        d2 = tiles(a, b, *these.tiles)
        key = a.ids[these.p][:, :, None] * count_b + b.ids[these.q][:, None]
        keys.append(
            torch.where(d2 == best[owner[h], None, None], key, torch.iinfo(torch.int64).max)
            .flatten(1)
            .amin(1)
        )
    key = least(owner[hit], torch.cat([*keys, owner.new_zeros(0)]), edges, torch.iinfo(torch.int64).max)
    d2 = torch.where(found, best, math.inf)
    d2 = torch.where(bad > 0, math.nan, d2)
    return d2, torch.where(found, key // count_b, -1), torch.where(found, key % count_b, -1)


class _Runs(NamedTuple):
    """One side of edges whose groups are runs of blocks ``start:start + size`` of bodies in rows."""

    blocks: Blocks
    row: Tensor
    start: Tensor
    size: Tensor

    @classmethod
    def of(cls, side: Side) -> _Runs:
        offsets = side.layout.block_offsets
        held = Blocks(side.vertices, side.layout.slots)
        return cls(held, side.row, offsets[side.group], offsets.diff()[side.group])

    def part(self, s: slice) -> _Runs:
        return _Runs(self.blocks, self.row[s], self.start[s], self.size[s])

    def any_bad(self) -> Tensor:
        """Which edges have a block that is not finite."""
        edge, within = expand(self.size)
        bad = torch.zeros(len(self.row), dtype=torch.int8, device=self.row.device)
        own = self.blocks.bad[self.row[edge], self.start[edge] + within].to(torch.int8)
        return bad.scatter_reduce_(0, edge, own, "amax") > 0


@torch.no_grad()
def region_nearest(asked: NearestSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_nearest` without gradient."""
    search = asked.search
    check_edges(search)
    d2 = search.bodies.a.new_full((asked.answers,), math.inf)
    index_a, index_b = (torch.full_like(d2, -1, dtype=torch.int64) for _ in range(2))
    one, other = search.sides
    places_a, places_b = (_places(side.layout, side.vertices.shape[1]) for side in (one, other))
    a, b = _Runs.of(one), _Runs.of(other)
    second = asked.first + one.layout.offsets.diff()[one.group]
    for s in _edge_slices(a.size * b.size):
        here, there = a.part(s), b.part(s)
        bad = here.any_bad() | there.any_bad()
        for own, near, to, place, index in (
            (here, there, asked.first[s], places_a, (index_a, index_b)),
            (there, here, second[s], places_b, (index_b, index_a)),
        ):
            edge, block, best, nearest = _near_blocks(own, near, bad)
            at = to[edge][:, None] + place[block]
            d2[at] = best
            index[0][at] = torch.where(nearest >= 0, own.blocks.ids[block], -1)
            index[1][at] = nearest
    return d2, index_a, index_b


def _places(layout: RegionLayout, vertex_count: int) -> Tensor:
    """``(blocks, 16)`` the position of the vertex in each slot in the ascending list of its region."""
    sizes = layout.offsets.diff(), BLOCK * layout.block_offsets.diff()
    (of_id, _), (of_slot, _) = (expand(size) for size in sizes)
    keys, wanted = (
        region * vertex_count + ids for region, ids in ((of_id, layout.vertex_ids), (of_slot, layout.slots))
    )
    return (torch.searchsorted(keys, wanted) - layout.offsets[of_slot]).view(-1, BLOCK)


def _near_blocks(own: _Runs, other: _Runs, bad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each block of the own groups (its edge, its number), and for its 16 vertices the nearest others."""
    edge, within = expand(own.size)
    block, r, ro = own.start[edge] + within, own.row[edge], other.row[edge]
    mine, theirs = own.blocks, other.blocks
    shape = (len(block), BLOCK)
    best = mine.x.new_full(shape, math.inf)
    largest = torch.iinfo(torch.int64).max
    lowest = torch.full(shape, largest, dtype=torch.int64, device=block.device)

    def distances(unit: Tensor, target: Tensor) -> Tensor:
        # Targets before queries, as in `nearest_vertex`.
        return tiles(theirs, mine, ro[unit], target, r[unit], block[unit])

    unit, step = expand(torch.where(bad[edge], 0, other.size[edge]))
    target = other.start[edge][unit] + step
    q, t = (r[unit], block[unit]), (ro[unit], target)
    low = bound(mine.lo[q], mine.hi[q], theirs.lo[t], theirs.hi[t])
    nearest = least(unit, low, len(block), math.inf)
    at = torch.arange(len(unit), device=unit.device)
    seed = least(unit, torch.where(low == nearest[unit], at, len(unit)), len(block), len(unit))
    seed = seed[seed < len(unit)]
    for s in slices(len(seed)):
        best[unit[seed[s]]] = distances(unit[seed[s]], target[seed[s]]).amin(1)
    keep = (low <= best.amax(1)[unit]).nonzero()[:, 0]
    unit, target = unit[keep], target[keep]
    for s in slices(len(unit)):
        near = distances(unit[s], target[s]).amin(1)
        best = torch.minimum(best, least(unit[s], near, len(block), math.inf))
    for s in slices(len(unit)):
        same = distances(unit[s], target[s]) == best[unit[s], None]
        ids = torch.where(same, theirs.ids[target[s], :, None], largest).amin(1)
        lowest = torch.minimum(lowest, least(unit[s], ids, len(block), largest))
    some = bad[edge] & (other.size[edge] > 0)
    found = best < math.inf
    best = torch.where(some[:, None], math.nan, best)
    return edge, block, best, torch.where(found, lowest, -1)


def region_matrix(search: MatrixSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient."""
    _, count_a, count_b = search.shape
    flat = torch.arange(math.prod(search.shape), device=search.vertices_a.device)
    row = flat // max(1, count_a * count_b)
    group_a, group_b = flat // max(1, count_b) % max(1, count_a), flat % max(1, count_b)
    bodies = Bodies(search.vertices_a, search.vertices_b)
    ends = Ends(row, group_a, search.a), Ends(row, group_b, search.b)
    d2, index_a, index_b = (
        t.view(search.shape) for t in region_min(RegionSearch(bodies, *ends, None), search.limit)
    )
    return d2, index_a, index_b
