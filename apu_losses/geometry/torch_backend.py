"""The torch back end: block-pruned plain PyTorch, exact, for any device and any float dtype.

What runs where neither numba nor Triton can. The idea is that of the cpu back end in whole-tensor operations:
bound all pairs of blocks by their boxes, evaluate for each minimum the pair of least bound, drop the pairs
whose bound exceeds what that gave, evaluate the rest. The bounds round no higher than the distances, so
pruning is exact to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from apu_losses.geometry import reference, tree
from apu_losses.geometry.scatter import accumulate
from apu_losses.geometry.topology import BLOCK, FACE_BLOCK, MeshTopology, RegionIndex

_BLOCK_PAIRS = 1 << 21  # bounds held at once
_TILES = 1 << 13  # tiles of 16 x 16 distances held at once


class _Blocks:
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


def _bound(lo_a: Tensor, hi_a: Tensor, lo_b: Tensor, hi_b: Tensor) -> Tensor:
    """Lower bound of the squared distances of two boxes, rounded as the distances are."""
    gap = torch.maximum(lo_b - hi_a, lo_a - hi_b).clamp_(min=0)
    return (gap[..., 0] * gap[..., 0] + gap[..., 1] * gap[..., 1]) + gap[..., 2] * gap[..., 2]


def _expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (2, 3): owners 0 0 1 1 1 and positions within the owner 0 1 0 1 2."""
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    starts = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - starts[owner]


def _least(owner: Tensor, values: Tensor, count: int, start: float | int) -> Tensor:
    """Minimum of the values of each owner."""
    out = torch.full((count, *values.shape[1:]), start, dtype=values.dtype, device=values.device)
    index = owner.view(-1, *([1] * (values.dim() - 1))).expand_as(values)
    return out.scatter_reduce_(0, index, values, "amin")


def _group_blocks(regions: RegionIndex, unions: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """Blocks of each group as CSR."""
    offsets = regions.block_offsets
    if unions is None:
        return offsets, torch.arange(int(offsets[-1]), device=offsets.device)
    sizes = offsets.diff()[unions[1]]
    owner, within = _expand(sizes)
    blocks = offsets[unions[1]][owner] + within
    ends = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return ends[unions[0]], blocks


def _check_edges(name: str, row: Tensor, rows: int, group: Tensor, groups: int) -> None:
    wrong = (row < 0) | (row >= rows) | (group < 0) | (group >= groups)
    if bool(wrong.any()):
        raise ValueError(
            f"pairs.row_{name}, pairs.group_{name}: expected rows below {rows} and groups below {groups}, "
            f"got rows {row.tolist()[:8]} and groups {group.tolist()[:8]}"
        )


Rows = tuple[Tensor, Tensor] | None  # row of the points and row of the mesh of each item


def check_rows(points: Tensor, vertices: Tensor, rows: tuple[Tensor, Tensor]) -> None:
    """Raise ``ValueError`` for an item that names a row that does not exist."""
    for name, row, count in (("points", rows[0], len(points)), ("mesh", rows[1], len(vertices))):
        if row.numel() and not 0 <= int(row.min()) <= int(row.max()) < count:
            raise ValueError(
                f"rows: expected rows of the {name} in [0, {count}), got {int(row.min())}..{int(row.max())}"
            )


def _listed(points: Tensor, vertices: Tensor, rows: Rows) -> list[tuple[int, int]]:
    """Row of the points and row of the mesh of each item; without ``rows`` item k is row k of both."""
    if rows is None:
        return [(k, k) for k in range(len(points))]
    check_rows(points, vertices, rows)
    return list(zip(rows[0].tolist(), rows[1].tolist(), strict=True))


def check_edges(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
) -> None:
    """Raise ``ValueError`` for an edge that names a row or group that does not exist."""
    groups_a, groups_b = (len(r) if unions is None else len(unions[0]) - 1 for r in (regions_a, regions_b))
    _check_edges("a", row_a, len(verts_a), group_a, groups_a)
    _check_edges("b", row_b, len(verts_b), group_b, groups_b)


def _tiles(a: _Blocks, b: _Blocks, ra: Tensor, p: Tensor, rb: Tensor, q: Tensor) -> Tensor:
    """Squared distances ``(n, 16, 16)`` of blocks p of rows ra to blocks q of rows rb."""
    total = None
    for x, y in zip(a.parts, b.parts, strict=True):
        d = x[ra, p][:, :, None] - y[rb, q][:, None]
        total = d.square_() if total is None else total.add_(d.square_())
    assert total is not None
    return total


def _tile_minima(a: _Blocks, b: _Blocks, ra: Tensor, p: Tensor, rb: Tensor, q: Tensor) -> Tensor:
    """Least squared distance in each tile (block p of row ra, block q of row rb)."""
    parts = [_tiles(a, b, ra[s], p[s], rb[s], q[s]).flatten(1).amin(1) for s in _slices(len(p))]
    return torch.cat(parts) if parts else a.x.new_zeros(0)


def _slices(count: int) -> Iterator[slice]:
    return (slice(s, s + _TILES) for s in range(0, count, _TILES))


@torch.no_grad()
def region_min(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
    limit: float = math.inf,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_min` without gradient."""
    lists_a, lists_b = _group_blocks(regions_a, unions), _group_blocks(regions_b, unions)
    _check_edges("a", row_a, len(verts_a), group_a, len(lists_a[0]) - 1)
    _check_edges("b", row_b, len(verts_b), group_b, len(lists_b[0]) - 1)
    a, b = _Blocks(verts_a, regions_a.slots), _Blocks(verts_b, regions_b.slots)
    size_a, size_b = lists_a[0].diff()[group_a], lists_b[0].diff()[group_b]
    sizes = size_a * size_b
    out: list[tuple[Tensor, Tensor, Tensor]] = []
    for part in _edge_slices(sizes):
        owner, within = _expand(sizes[part])
        wide = size_b[part][owner]
        p = lists_a[1][lists_a[0][group_a[part]][owner] + within // wide]
        q = lists_b[1][lists_b[0][group_b[part]][owner] + within % wide]
        out.append(_edges(a, b, row_a[part], row_b[part], owner, p, q, verts_b.shape[1], limit))
    if not out:
        none = row_a.new_zeros(0)
        return verts_a.new_zeros(0), none, none.clone()
    d2, index_a, index_b = (torch.cat(t) for t in zip(*out, strict=True))
    return d2, index_a, index_b


def _edge_slices(sizes: Tensor) -> Iterator[slice]:
    """Runs of edges whose block pairs fit in memory together."""
    start = held = 0
    for k, size in enumerate(sizes.tolist()):
        if held and held + size > _BLOCK_PAIRS:
            yield slice(start, k)
            start, held = k, 0
        held += size
    if len(sizes) > start:
        yield slice(start, len(sizes))


def _edges(
    a: _Blocks,
    b: _Blocks,
    row_a: Tensor,
    row_b: Tensor,
    owner: Tensor,
    p: Tensor,
    q: Tensor,
    count_b: int,
    limit: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimum of each edge over its block pairs (owner, p, q)."""
    edges = len(row_a)
    ra, rb = row_a[owner], row_b[owner]
    bad = torch.zeros(edges, dtype=torch.int8, device=owner.device)
    bad.scatter_reduce_(0, owner, (a.bad[ra, p] | b.bad[rb, q]).to(torch.int8), "amax")
    bound = _bound(a.lo[ra, p], a.hi[ra, p], b.lo[rb, q], b.hi[rb, q])
    # One block pair of least bound for each edge gives the first upper bound.
    least = _least(owner, bound, edges, math.inf)
    at = torch.arange(len(owner), device=owner.device)
    seed = _least(owner, torch.where(bound == least[owner], at, len(owner)), edges, len(owner))
    seed = seed[(seed < len(owner)) & (bad == 0)]
    best = a.x.new_full((edges,), limit)
    first = _tile_minima(a, b, ra[seed], p[seed], rb[seed], q[seed])
    best.scatter_reduce_(0, owner[seed], first, "amin")
    keep = ((bound <= best[owner]) & (bad[owner] == 0)).nonzero()[:, 0]
    owner, ra, rb, p, q = (t[keep] for t in (owner, ra, rb, p, q))
    tiles = _tile_minima(a, b, ra, p, rb, q)
    best = torch.minimum(best, _least(owner, tiles, edges, math.inf))
    found = best < limit
    # Among the tiles that reach the minimum, the lowest pair of ids.
    hit = ((tiles == best[owner]) & found[owner]).nonzero()[:, 0]
    keys = []
    for s in _slices(len(hit)):
        h = hit[s]
        d2 = _tiles(a, b, ra[h], p[h], rb[h], q[h])
        key = a.ids[p[h]][:, :, None] * count_b + b.ids[q[h]][:, None]
        keys.append(
            torch.where(d2 == best[owner[h], None, None], key, torch.iinfo(torch.int64).max)
            .flatten(1)
            .amin(1)
        )
    key = _least(owner[hit], torch.cat([*keys, owner.new_zeros(0)]), edges, torch.iinfo(torch.int64).max)
    d2 = torch.where(found, best, math.inf)
    d2 = torch.where(bad > 0, math.nan, d2)
    return d2, torch.where(found, key // count_b, -1), torch.where(found, key % count_b, -1)


@torch.no_grad()
def region_nearest(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    first: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_nearest` without gradient; groups are regions, see `PairLayout`."""
    check_edges(verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, None)
    d2 = verts_a.new_full((count,), math.inf)
    index_a, index_b = (torch.full((count,), -1, dtype=torch.int64, device=d2.device) for _ in range(2))
    sides = [
        (
            _Blocks(v, r.slots),
            row,
            r.block_offsets[group],
            r.block_offsets.diff()[group],
            _places(r),
        )
        for v, r, row, group in (
            (verts_a, regions_a, row_a, group_a),
            (verts_b, regions_b, row_b, group_b),
        )
    ]
    (a, ra, start_a, size_a, places_a), (b, rb, start_b, size_b, places_b) = sides
    second = first + regions_a.offsets.diff()[group_a]
    for s in _edge_slices(size_a * size_b):
        bad = _any_bad(a, ra[s], start_a[s], size_a[s]) | _any_bad(b, rb[s], start_b[s], size_b[s])
        there = (a, ra[s], start_a[s], size_a[s]), (b, rb[s], start_b[s], size_b[s])
        for (own, other), to, place, index in (
            (there, first[s], places_a, (index_a, index_b)),
            (there[::-1], second[s], places_b, (index_b, index_a)),
        ):
            edge, block, least, nearest = _near_blocks(*own, *other, bad)
            at = to[edge][:, None] + place[block]
            d2[at] = least
            index[0][at] = torch.where(nearest >= 0, own[0].ids[block], -1)
            index[1][at] = nearest
    return d2, index_a, index_b


def _places(regions: RegionIndex) -> Tensor:
    """``(blocks, 16)`` the position of the vertex in each slot in the ascending list of its region."""
    sizes = regions.offsets.diff(), BLOCK * regions.block_offsets.diff()
    (of_id, _), (of_slot, _) = (_expand(size) for size in sizes)
    keys, wanted = (
        region * regions.vertex_count + ids
        for region, ids in ((of_id, regions.vertex_ids), (of_slot, regions.slots))
    )
    return (torch.searchsorted(keys, wanted) - regions.offsets[of_slot]).view(-1, BLOCK)


def _any_bad(x: _Blocks, row: Tensor, start: Tensor, size: Tensor) -> Tensor:
    """Which edges have a block that is not finite among blocks ``start:start + size`` of their row."""
    edge, within = _expand(size)
    bad = torch.zeros(len(row), dtype=torch.int8, device=row.device)
    return bad.scatter_reduce_(0, edge, x.bad[row[edge], start[edge] + within].to(torch.int8), "amax") > 0


def _near_blocks(
    own: _Blocks,
    row: Tensor,
    start: Tensor,
    size: Tensor,
    other: _Blocks,
    row_o: Tensor,
    start_o: Tensor,
    size_o: Tensor,
    bad: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each block of the own groups (its edge, its number), and for its 16 vertices the nearest others."""
    edge, within = _expand(size)
    block, r, ro = start[edge] + within, row[edge], row_o[edge]
    shape = (len(block), BLOCK)
    best = own.x.new_full(shape, math.inf)
    largest = torch.iinfo(torch.int64).max
    lowest = torch.full(shape, largest, dtype=torch.int64, device=block.device)

    def distances(unit: Tensor, target: Tensor) -> Tensor:
        # Targets before queries, as in `nearest_vertex`.
        return _tiles(other, own, ro[unit], target, r[unit], block[unit])

    unit, step = _expand(torch.where(bad[edge], 0, size_o[edge]))
    target = start_o[edge][unit] + step
    q, t = (r[unit], block[unit]), (ro[unit], target)
    bound = _bound(own.lo[q], own.hi[q], other.lo[t], other.hi[t])
    least = _least(unit, bound, len(block), math.inf)
    at = torch.arange(len(unit), device=unit.device)
    seed = _least(unit, torch.where(bound == least[unit], at, len(unit)), len(block), len(unit))
    seed = seed[seed < len(unit)]
    for s in _slices(len(seed)):
        best[unit[seed[s]]] = distances(unit[seed[s]], target[seed[s]]).amin(1)
    keep = (bound <= best.amax(1)[unit]).nonzero()[:, 0]
    unit, target = unit[keep], target[keep]
    for s in _slices(len(unit)):
        near = distances(unit[s], target[s]).amin(1)
        best = torch.minimum(best, _least(unit[s], near, len(block), math.inf))
    for s in _slices(len(unit)):
        same = distances(unit[s], target[s]) == best[unit[s], None]
        ids = torch.where(same, other.ids[target[s], :, None], largest).amin(1)
        lowest = torch.minimum(lowest, _least(unit[s], ids, len(block), largest))
    some = bad[edge] & (size_o[edge] > 0)
    found = best < math.inf
    best = torch.where(some[:, None], math.nan, best)
    return edge, block, best, torch.where(found, lowest, -1)


def region_matrix(
    verts_a: Tensor, verts_b: Tensor, regions_a: RegionIndex, regions_b: RegionIndex, limit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient."""
    shape = (len(verts_a), len(regions_a), len(regions_b))
    flat = torch.arange(math.prod(shape), device=verts_a.device)
    row = flat // max(1, shape[1] * shape[2])
    group_a, group_b = flat // max(1, shape[2]) % max(1, shape[1]), flat % max(1, shape[2])
    d2, index_a, index_b = region_min(
        verts_a, verts_b, row, row, group_a, group_b, regions_a, regions_b, None, limit
    )
    return d2.view(shape), index_a.view(shape), index_b.view(shape)


def region_soft_min(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_soft_min`: all pairs of each edge. The second and third output are not used here."""
    soft = _soft(verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, unions, temperature)
    return soft, torch.zeros_like(soft), torch.zeros_like(soft)


def _soft(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
    temperature: float,
) -> Tensor:
    check_edges(verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, unions)
    lists_a, lists_b = ((r.offsets, r.vertex_ids) for r in (regions_a, regions_b))
    return reference.region_soft_min(
        verts_a, verts_b, row_a, row_b, group_a, group_b, lists_a, lists_b, unions, temperature
    )


def region_soft_min_gradient(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
    temperature: float,
    least: Tensor,
    sums: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradients of `region_soft_min`: weights ``softmax(-d^2 / T)`` on the differences."""
    lists_a, lists_b = ((r.offsets, r.vertex_ids) for r in (regions_a, regions_b))
    grad_a, grad_b = torch.zeros_like(verts_a), torch.zeros_like(verts_b)
    edges = zip(row_a.tolist(), row_b.tolist(), group_a.tolist(), group_b.tolist(), gradient, strict=True)
    for ra, rb, ga, gb, g in edges:
        ids_a = reference.group_vertices(ga, *lists_a, unions)
        ids_b = reference.group_vertices(gb, *lists_b, unions)
        a, b = verts_a[ra, ids_a], verts_b[rb, ids_b]
        if not len(a) or not len(b) or not bool(torch.isfinite(a).all() & torch.isfinite(b).all()):
            continue
        d2 = reference.distance2(a[:, None], b[None])
        weight = 2 * g * torch.softmax(-d2.flatten() / temperature, 0).view(d2.shape)
        for c in range(3):
            # What overflows has no weight; a difference that does times zero would be NaN.
            step = torch.where(d2 < math.inf, weight * (a[:, None, c] - b[None, :, c]), 0.0)
            grad_a[ra, ids_a, c] += step.sum(1)
            grad_b[rb, ids_b, c] -= step.sum(0)
    return grad_a, grad_b


def _mended(points: Tensor) -> Tensor:
    """Queries that are not finite take the place of a finite one, so that they do not spoil the boxes."""
    good = torch.isfinite(points).all(1)
    stand_in = points[good.to(torch.uint8).argmax()]
    return torch.where(good[:, None], points, torch.nan_to_num(stand_in, 0.0, 0.0, 0.0))


def _queries(points: Tensor, slots: Tensor | None, wanted: Tensor | None) -> tuple[Tensor, _Blocks]:
    """Which of ``points (Q, 3)`` to ask for, and these in blocks; ``slots`` order all of them."""
    if wanted is None:
        mended = _mended(points)
        asked = torch.arange(len(points), device=points.device)
        return asked, _Blocks(mended[None], tree.block_slots(mended) if slots is None else slots)
    asked = wanted.nonzero()[:, 0]
    if not len(asked):
        return asked, _Blocks(points[None, :0], asked)
    mended = _mended(points[asked])
    return asked, _Blocks(mended[None], tree.block_slots(mended))


def _tiles_to_visit(
    queries: _Blocks, lo: Tensor, hi: Tensor, ceiling: Tensor, caution: float
) -> tuple[Tensor, Tensor]:
    """Pairs (query block, target block) whose bound does not exceed the ceiling of the query block."""
    rows = max(1, _BLOCK_PAIRS // max(1, len(lo)))
    hits = []
    for s in range(0, queries.lo.shape[1], rows):
        bound = _bound(
            queries.lo[0, s : s + rows, None], queries.hi[0, s : s + rows, None], lo[None], hi[None]
        )
        hit = (bound * caution <= ceiling[s : s + rows, None]).nonzero()
        hits.append(hit + torch.tensor([[s, 0]], device=hit.device, dtype=torch.int64))
    k, t = torch.cat(hits).unbind(1)
    return k, t


def _seeds(queries: _Blocks, lo: Tensor, hi: Tensor) -> Tensor:
    """For each query block, the target block of least bound."""
    rows = max(1, _BLOCK_PAIRS // max(1, len(lo)))
    parts = [
        _bound(
            queries.lo[0, s : s + rows, None], queries.hi[0, s : s + rows, None], lo[None], hi[None]
        ).argmin(1)
        for s in range(0, queries.lo.shape[1], rows)
    ]
    return torch.cat(parts)


def _finish(
    points: Tensor,
    vertices: Tensor,
    d2: Tensor,
    index: Tensor,
    wanted: Tensor | None,
    skipped: float,
    rows: Rows,
) -> tuple[Tensor, Tensor]:
    """Points that are not wanted are ``skipped`` and -1; what is not finite is NaN and -1."""
    if wanted is not None:
        d2, index = torch.where(wanted, d2, skipped), torch.where(wanted, index, -1)
    return reference.poison(points, vertices, d2, index, rows)


@torch.no_grad()
def nearest_vertex(
    points: Tensor,
    vertices: Tensor,
    limit: float,
    point_slots: Tensor | None,
    vertex_slots: Tensor | None,
    wanted: Tensor | None = None,
    skipped: float = math.inf,
    rows: Rows = None,
) -> tuple[Tensor, Tensor]:
    """`reference.nearest_vertex` without gradient."""
    items, count = _listed(points, vertices, rows), points.shape[1]
    d2 = points.new_full((len(items), count), math.inf)
    index = torch.full((len(items), count), -1, dtype=torch.int64, device=points.device)
    for i, (p, m) in enumerate(items if count and vertices.shape[1] else ()):
        if not bool(torch.isfinite(vertices[m]).all()):
            continue
        asked, queries = _queries(points[p], point_slots, None if wanted is None else wanted[i])
        if not len(asked):
            continue
        targets = _Blocks(
            vertices[m : m + 1], tree.block_slots(vertices[m]) if vertex_slots is None else vertex_slots
        )
        lo, hi = targets.lo[0], targets.hi[0]

        def distances(k: Tensor, t: Tensor, queries: _Blocks = queries, targets: _Blocks = targets) -> Tensor:
            zero = torch.zeros_like(k)
            # Targets before queries: the minimum then runs over the middle axis, which is faster.
            return _tiles(targets, queries, zero, t, zero, k)

        seed = _seeds(queries, lo, hi)
        blocks = torch.arange(len(seed), device=seed.device)
        best = torch.cat([distances(blocks[s], seed[s]).amin(1) for s in _slices(len(seed))])
        k, t = _tiles_to_visit(queries, lo, hi, best.amax(1), 1.0)
        for s in _slices(len(k)):
            near = distances(k[s], t[s]).amin(1)
            best = torch.minimum(best, _least(k[s], near, len(seed), math.inf))
        largest = torch.iinfo(torch.int64).max
        lowest = torch.full(best.shape, largest, dtype=torch.int64, device=best.device)
        for s in _slices(len(k)):
            same = distances(k[s], t[s]) == best[k[s], None]
            ids = torch.where(same, targets.ids[t[s], :, None], largest).amin(1)
            lowest = torch.minimum(lowest, _least(k[s], ids, len(seed), largest))
        found = best < limit
        at = asked[queries.ids.flatten()]
        d2[i, at] = torch.where(found, best, math.inf).flatten()
        index[i, at] = torch.where(found, lowest, -1).flatten()
    return _finish(points, vertices, d2, index, wanted, skipped, rows)


@torch.no_grad()
def nearest_surface(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face_slots: Tensor,
    limit: float,
    point_slots: Tensor | None,
    wanted: Tensor | None = None,
    skipped: float = math.inf,
    rows: Rows = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.nearest_surface` without gradient."""
    items, count = _listed(points, vertices, rows), points.shape[1]
    d2 = points.new_full((len(items), count), math.inf)
    face = torch.full((len(items), count), -1, dtype=torch.int64, device=points.device)
    weights = points.new_zeros(len(items), count, 3)
    used = vertices[:, torch.unique(faces)] if len(faces) else vertices[:, :0]
    order = face_slots.view(-1, FACE_BLOCK)
    for i, (p, m) in enumerate(items if count and len(faces) else ()):
        if not bool(torch.isfinite(used[m]).all()):
            continue
        asked, queries = _queries(points[p], point_slots, None if wanted is None else wanted[i])
        if not len(asked):
            continue
        corners = vertices[m][faces[order]]
        lo, hi = corners.flatten(1, 2).amin(1), corners.flatten(1, 2).amax(1)
        # The closest point rounds in its own way: grow the boxes and lower the bounds a little.
        grow = 4e-6 * (hi - lo).sum(1, keepdim=True)
        lo, hi = lo - grow, hi + grow

        def closest(
            k: Tensor, t: Tensor, queries: _Blocks = queries, corners: Tensor = corners
        ) -> tuple[Tensor, Tensor, Tensor]:
            a, b, c = corners[t, None].unbind(-2)
            return reference.closest_on_triangle(queries.x[0, k, :, None], a, b, c)

        seed = _seeds(queries, lo, hi)
        blocks = torch.arange(len(seed), device=seed.device)
        best = torch.cat([closest(blocks[s], seed[s])[0].amin(2) for s in _slices(len(seed))])
        k, t = _tiles_to_visit(queries, lo, hi, best.amax(1), 1 - 1e-5)
        for s in _slices(len(k)):
            best = torch.minimum(best, _least(k[s], closest(k[s], t[s])[0].amin(2), len(seed), math.inf))
        largest = torch.iinfo(torch.int64).max
        lowest = torch.full(best.shape, largest, dtype=torch.int64, device=best.device)
        for s in _slices(len(k)):
            same = closest(k[s], t[s])[0] == best[k[s], :, None]
            ids = torch.where(same, order[t[s], None], largest).amin(2)
            lowest = torch.minimum(lowest, _least(k[s], ids, len(seed), largest))
        found = best < limit
        chosen = torch.where(found, lowest, 0)
        a, b, c = vertices[m][faces[chosen]].unbind(-2)
        _, v, w = reference.closest_on_triangle(queries.x[0], a, b, c)
        bary = torch.where(found[..., None], torch.stack([(1 - v) - w, v, w], dim=-1), 0.0)
        at = asked[queries.ids.flatten()]
        d2[i, at] = torch.where(found, best, math.inf).flatten()
        face[i, at] = torch.where(found, lowest, -1).flatten()
        weights[i, at] = bary.flatten(0, 1)
    d2, face = _finish(points, used, d2, face, wanted, skipped, rows)
    return d2, face, torch.where((face >= 0)[..., None], weights, torch.zeros_like(weights))


@torch.no_grad()
def winding_number(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    method: str,
    beta: float,
    point_slots: Tensor | None,
    boxed: bool,
    wanted: Tensor | None = None,
    rows: Rows = None,
) -> tuple[Tensor, Tensor]:
    """Winding numbers by "tree", "exact" or "rays", and bounds on their errors.

    ``boxed``: zero outside the bounding box of the mesh. Points that are not ``wanted (E, Q)`` are zero.
    """
    items = _listed(points, vertices, rows)
    out = torch.zeros(2, len(items), points.shape[1], dtype=points.dtype, device=points.device)
    used = vertices[:, torch.unique(topology.faces)] if len(topology.faces) else vertices[:, :0]
    for i, (p, m) in enumerate(items if used.shape[1] else ()):
        own = _asked(points[p], used[m], None if wanted is None else wanted[i], boxed)
        part, slots = (points[p], point_slots) if own is None else (points[p][own], None)
        at = slice(None) if own is None else own
        if method == "tree":
            slots = tree.block_slots(part) if slots is None and len(part) else slots
            if slots is not None:
                out[0, i, at], out[1, i, at] = tree.winding_number(part, vertices[m], topology, beta, slots)
        else:
            exact = reference.ray_crossings if method == "rays" else reference.winding_number
            out[0, i, at] = exact(part[None], vertices[m : m + 1], topology.faces)[0]
    none = torch.zeros_like(out[0], dtype=torch.int64)
    value, bound = (reference.poison(points, used, x, none, rows)[0] for x in out)
    return value, bound


def _asked(points: Tensor, used: Tensor, wanted: Tensor | None, boxed: bool) -> Tensor | None:
    """Mask of the points to look at: those wanted, and in the box of the mesh if ``boxed``; None for all."""
    if not boxed:
        return wanted
    in_box = ((points >= used.amin(0)) & (points <= used.amax(0))).all(1)
    return in_box if wanted is None else in_box & wanted


@torch.no_grad()
def inside(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    point_slots: Tensor | None,
    wanted: Tensor | None = None,
    rows: Rows = None,
) -> Tensor:
    """The inside test by the tree, opened as far as it takes to be certain."""
    items = _listed(points, vertices, rows)
    out = torch.zeros(len(items), points.shape[1], dtype=torch.bool, device=points.device)
    used = vertices[:, torch.unique(topology.faces)] if len(topology.faces) else vertices[:, :0]
    for i, (p, m) in enumerate(items if used.shape[1] else ()):
        own = _asked(points[p], used[m], None if wanted is None else wanted[i], True)
        if bool(torch.isfinite(used[m]).all()):
            out[i, own] = tree.inside(points[p][own], vertices[m], topology)
    return out


def edge_gradient(
    verts_a: Tensor,
    verts_b: Tensor | None,
    row_a: Tensor,
    row_b: Tensor,
    index_a: Tensor,
    index_b: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    """``2 g (a - b)`` to the first vertex of each edge and its opposite to the second."""
    second = verts_a if verts_b is None else verts_b
    at_a = row_a * verts_a.shape[1] + index_a.clamp(min=0)
    at_b = row_b * second.shape[1] + index_b.clamp(min=0)
    flat_a, flat_b = verts_a.reshape(-1, 3), second.reshape(-1, 3)
    grad_a = torch.zeros_like(flat_a)
    grad_b = grad_a if verts_b is None else torch.zeros_like(flat_b)
    if len(flat_a) and len(flat_b):
        step = (2 * gradient)[:, None] * (flat_a.index_select(0, at_a) - flat_b.index_select(0, at_b))
        step = torch.where((index_a >= 0)[:, None], step, torch.zeros_like(step))
        accumulate(grad_a, at_a, step)
        accumulate(grad_b, at_b, -step)
    return grad_a.view(verts_a.shape), verts_a.new_zeros(0) if verts_b is None else grad_b.view(second.shape)


def _from_rows(points: Tensor, rows: Rows) -> Tensor:
    return points if rows is None else points.index_select(0, rows[0])


def _to_rows(step: Tensor, points: Tensor, rows: Rows) -> Tensor:
    """Gradients of items ``(E, Q, 3)`` added to the rows of the points."""
    return step if rows is None else accumulate(torch.zeros_like(points), rows[0], step)


def _vertex_offsets(vertices: Tensor, rows: Rows) -> Tensor:
    """Where the mesh of each item starts in the flat list of all vertices ``(E,)``."""
    row = torch.arange(len(vertices), device=vertices.device) if rows is None else rows[1]
    return row * vertices.shape[1]


def _spread(index: Tensor, count: int) -> Tensor:
    """-1 becomes any valid index, a different one for each query: zeros that are all added to one place are
    slow on a GPU.
    """
    return torch.where(index >= 0, index, torch.arange(index.shape[1], device=index.device) % count)


def nearest_gradient(
    points: Tensor, vertices: Tensor, index: Tensor, gradient: Tensor, rows: Rows = None
) -> tuple[Tensor, Tensor]:
    """``2 g (point - vertex)`` to each point, its opposite to its nearest vertex."""
    flat = vertices.reshape(-1, 3)
    if not len(flat):
        return torch.zeros_like(points), torch.zeros_like(vertices)
    at = (_vertex_offsets(vertices, rows)[:, None] + _spread(index, vertices.shape[1])).reshape(-1)
    near = flat.index_select(0, at).view(*index.shape, 3)
    step = (2 * gradient)[..., None] * (_from_rows(points, rows) - near)
    step = torch.where((index >= 0)[..., None], step, torch.zeros_like(step))
    to_vertices = accumulate(torch.zeros_like(flat), at, -step.reshape(-1, 3))
    return _to_rows(step, points, rows), to_vertices.view(vertices.shape)


def surface_gradient(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face: Tensor,
    weights: Tensor,
    gradient: Tensor,
    rows: Rows = None,
) -> tuple[Tensor, Tensor]:
    """``2 g (point - surface point)`` to each point, its opposite to the corners by their weights."""
    flat = vertices.reshape(-1, 3)
    if not len(faces) or not len(flat):
        return torch.zeros_like(points), torch.zeros_like(vertices)
    at = (_vertex_offsets(vertices, rows)[:, None, None] + faces[_spread(face, len(faces))]).reshape(-1)
    corners = flat.index_select(0, at).view(*face.shape, 3, 3)
    step = (2 * gradient)[..., None] * (_from_rows(points, rows) - (weights[..., None] * corners).sum(-2))
    step = torch.where((face >= 0)[..., None], step, torch.zeros_like(step))
    to_corners = -(weights[..., None] * step[..., None, :]).reshape(-1, 3)
    to_vertices = accumulate(torch.zeros_like(flat), at, to_corners).view(vertices.shape)
    return _to_rows(step, points, rows), to_vertices
