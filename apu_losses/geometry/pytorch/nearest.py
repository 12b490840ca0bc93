"""Nearest vertices and nearest surface points, pruned by blocks of queries and of targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.geometry import reference
from apu_losses.geometry.constants import FACE_BLOCK, FACE_CAUTION, FACE_GROWTH
from apu_losses.geometry.pytorch import blocks
from apu_losses.geometry.pytorch.blocks import Blocks, bound, least, slices, tiles
from apu_losses.geometry.pytorch.items import listed
from apu_losses.geometry.pytorch.winding import block_slots
from apu_losses.geometry.requests import Query, SurfaceSearch, VertexSearch


def _mended(points: Tensor) -> Tensor:
    """Let queries that are not finite take the place of a finite one, so that they do not spoil the
    boxes."""
    good = torch.isfinite(points).all(1)
    stand_in = points[good.to(torch.uint8).argmax()]
    return torch.where(good[:, None], points, torch.nan_to_num(stand_in, 0.0, 0.0, 0.0))


def _queries(points: Tensor, slots: Tensor | None, wanted: Tensor | None) -> tuple[Tensor, Blocks]:
    """Which of ``points (Q, 3)`` to ask for, and these in blocks; ``slots`` order all of them."""
    if wanted is None:
        mended = _mended(points)
        asked = torch.arange(len(points), device=points.device)
        return asked, Blocks(mended[None], block_slots(mended) if slots is None else slots)
    asked = wanted.nonzero()[:, 0]
    if not len(asked):
        return asked, Blocks(points[None, :0], asked)
    mended = _mended(points[asked])
    return asked, Blocks(mended[None], block_slots(mended))


def _tiles_to_visit(
    queries: Blocks, lo: Tensor, hi: Tensor, ceiling: Tensor, caution: float
) -> tuple[Tensor, Tensor]:
    """Pairs (query block, target block) whose bound does not exceed the ceiling of the query block."""
    rows = max(1, blocks.BLOCK_PAIRS // max(1, len(lo)))
    hits = []
    for s in range(0, queries.lo.shape[1], rows):
        low = bound(queries.lo[0, s : s + rows, None], queries.hi[0, s : s + rows, None], lo[None], hi[None])
        hit = (low * caution <= ceiling[s : s + rows, None]).nonzero()
        hits.append(hit + torch.tensor([[s, 0]], device=hit.device, dtype=torch.int64))
    k, t = torch.cat(hits).unbind(1)
    return k, t


def _seeds(queries: Blocks, lo: Tensor, hi: Tensor) -> Tensor:
    """For each query block, the target block of least bound."""
    rows = max(1, blocks.BLOCK_PAIRS // max(1, len(lo)))
    parts = [
        bound(
            queries.lo[0, s : s + rows, None], queries.hi[0, s : s + rows, None], lo[None], hi[None]
        ).argmin(1)
        for s in range(0, queries.lo.shape[1], rows)
    ]
    return torch.cat(parts)


class _Targets(NamedTuple):
    """Blocks of what is searched: their boxes ``(n, 3)`` and the ids in them ``(n, size)``."""

    lo: Tensor
    hi: Tensor
    ids: Tensor


def _nearest(
    queries: Blocks,
    targets: _Targets,
    distances: Callable[[Tensor, Tensor], Tensor],
    axis: int,
    caution: float,
) -> tuple[Tensor, Tensor]:
    """Return the least distance of each query and the lowest id at it, ``(blocks, 16)`` each.

    ``distances``: of blocks k of queries to blocks t of targets ``(n, ., .)``, the targets along ``axis``.
    ``caution``: factor on the bounds of boxes.
    """
    lo, hi, _ = targets
    seed = _seeds(queries, lo, hi)
    every = torch.arange(len(seed), device=seed.device)
    best = torch.cat([distances(every[s], seed[s]).amin(axis) for s in slices(len(seed))])
    k, t = _tiles_to_visit(queries, lo, hi, best.amax(1), caution)
    for s in slices(len(k)):
        best = torch.minimum(best, least(k[s], distances(k[s], t[s]).amin(axis), len(seed), math.inf))
    largest = torch.iinfo(torch.int64).max
    lowest = torch.full(best.shape, largest, dtype=torch.int64, device=best.device)
    for s in slices(len(k)):
        same = distances(k[s], t[s]) == best[k[s]].unsqueeze(axis)
        ids = torch.where(same, targets.ids[t[s]].unsqueeze(3 - axis), largest).amin(axis)
        lowest = torch.minimum(lowest, least(k[s], ids, len(seed), largest))
    return best, lowest


def _items(query: Query, vertices: Tensor, used: Tensor) -> Iterator[tuple[int, int, Tensor, Blocks]]:
    """Items that ask something of a finite mesh: item, row of the mesh, which points, these in blocks."""
    if not query.shape[1] or not used.shape[1]:
        return
    for i, (p, m) in enumerate(listed(query, vertices)):
        if bool(torch.isfinite(used[m]).all()):
            wanted = None if query.wanted is None else query.wanted[i]
            asked, queries = _queries(query.points[p], query.slots, wanted)
            if len(asked):
                yield i, m, asked, queries


def _finish(query: Query, used: Tensor, d2: Tensor, index: Tensor, skipped: float) -> tuple[Tensor, Tensor]:
    """Points that are not wanted are ``skipped`` and -1; what is not finite is NaN and -1."""
    if query.wanted is not None:
        d2, index = torch.where(query.wanted, d2, skipped), torch.where(query.wanted, index, -1)
    return reference.poison(query.points, used, d2, index, query.rows)


@torch.no_grad()
def nearest_vertex(search: VertexSearch) -> tuple[Tensor, Tensor]:
    """`reference.nearest_vertex` without gradient."""
    query, vertices = search.query, search.vertices
    d2 = query.points.new_full(query.shape, math.inf)
    index = torch.full_like(d2, -1, dtype=torch.int64)
    for i, m, asked, queries in _items(query, vertices, vertices):
        slots = block_slots(vertices[m]) if search.slots is None else search.slots
        held = Blocks(vertices[m : m + 1], slots)

        def distances(k: Tensor, t: Tensor, queries: Blocks = queries, held: Blocks = held) -> Tensor:
            zero = torch.zeros_like(k)
            # Targets before queries: the minimum then runs over the middle axis, which is faster.
            return tiles(held, queries, zero, t, zero, k)

        best, lowest = _nearest(queries, _Targets(held.lo[0], held.hi[0], held.ids), distances, 1, 1.0)
        found = best < search.limit
        at = asked[queries.ids.flatten()]
        d2[i, at] = torch.where(found, best, math.inf).flatten()
        index[i, at] = torch.where(found, lowest, -1).flatten()
    return _finish(query, vertices, d2, index, search.skipped)


@torch.no_grad()
def nearest_surface(search: SurfaceSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.nearest_surface` without gradient."""
    query, vertices, faces = search.query, search.vertices, search.faces
    d2 = query.points.new_full(query.shape, math.inf)
    face = torch.full_like(d2, -1, dtype=torch.int64)
    weights = query.points.new_zeros(*query.shape, 3)
    used = vertices[:, torch.unique(faces)] if len(faces) else vertices[:, :0]
    order = search.face_slots.view(-1, FACE_BLOCK)
    for i, m, asked, queries in _items(query, vertices, used):
        corners = vertices[m][faces[order]]
        lo, hi = corners.flatten(1, 2).amin(1), corners.flatten(1, 2).amax(1)
        grow = FACE_GROWTH * (hi - lo).sum(1, keepdim=True)

        def distances(k: Tensor, t: Tensor, queries: Blocks = queries, corners: Tensor = corners) -> Tensor:
            a, b, c = corners[t, None].unbind(-2)
            return reference.closest_on_triangle(queries.x[0, k, :, None], a, b, c)[0]

        best, lowest = _nearest(queries, _Targets(lo - grow, hi + grow, order), distances, 2, FACE_CAUTION)
        found = best < search.limit
        a, b, c = vertices[m][faces[torch.where(found, lowest, 0)]].unbind(-2)
        _, v, w = reference.closest_on_triangle(queries.x[0], a, b, c)
        bary = torch.where(found[..., None], torch.stack([(1 - v) - w, v, w], dim=-1), 0.0)
        at = asked[queries.ids.flatten()]
        d2[i, at] = torch.where(found, best, math.inf).flatten()
        face[i, at] = torch.where(found, lowest, -1).flatten()
        weights[i, at] = bary.flatten(0, 1)
    d2, face = _finish(query, used, d2, face, search.skipped)
    return d2, face, torch.where((face >= 0)[..., None], weights, torch.zeros_like(weights))
