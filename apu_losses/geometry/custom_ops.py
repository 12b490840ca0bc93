"""The operators as `torch.library` custom operators, so that autograd and ``torch.compile`` know them.

Each takes a request and the name of a back end, and returns distances and indices; what autograd needs is
derived from the indices here, once for all back ends. `apu_losses.geometry.operators` is the face that checks
arguments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from apu_losses.geometry.border import Operator
from apu_losses.geometry.requests import (
    Bodies,
    EdgeGradient,
    Found,
    InsideSearch,
    MatrixSearch,
    NearestSearch,
    NearFaces,
    NearPoints,
    Query,
    RegionSearch,
    SoftFound,
    SoftGradient,
    SoftSearch,
    SurfaceGradient,
    SurfaceSearch,
    VertexGradient,
    VertexSearch,
    WindingSearch,
)

Gradients = dict[str, Tensor | None]


def _blank_minima(like: Tensor, shape: Any) -> tuple[Tensor, Tensor, Tensor]:
    index = like.new_empty(shape, dtype=torch.int64)
    return like.new_empty(shape), index, torch.empty_like(index)


def _blank_gradients(*like: Tensor | None) -> tuple[Tensor, ...]:
    """Contiguous, whatever the strides of what they are gradients of; empty for None."""
    some = next(x for x in like if x is not None)
    return tuple(some.new_empty(0 if x is None else x.shape) for x in like)


# ---------------------------------------------------------------- between groups of vertices, along edges

edge_gradient = Operator(
    "edge_gradient",
    EdgeGradient,
    2,
    lambda backend, asked: backend.edge_gradient(asked),
    lambda asked: _blank_gradients(asked.found.bodies.a, asked.found.bodies.second),
)


def _to_bodies(found: Found, gradient: Tensor, backend: str) -> Gradients:
    to_a, to_b = edge_gradient(EdgeGradient(found, gradient), backend)
    return {"bodies.a": to_a, "bodies.second": None if found.bodies.second is None else to_b}


region_min = Operator(
    "region_min",
    RegionSearch,
    3,
    lambda backend, search: backend.region_min(search),
    lambda search: _blank_minima(search.bodies.a, search.edges),
)
region_min.differentiate(
    Found,
    lambda search, answer: Found(search.bodies, search.a.row, search.b.row, *answer[1:]),
    _to_bodies,
)

region_nearest = Operator(
    "region_nearest",
    NearestSearch,
    3,
    lambda backend, asked: backend.region_nearest(asked),
    lambda asked: _blank_minima(asked.search.bodies.a, asked.answers),
)


class _FoundOfEdges(NamedTuple):
    """As `Found`, with rows of edges, and the edge of each answer."""

    found: Found
    edge: Tensor


def _to_bodies_of_edges(kept: _FoundOfEdges, gradient: Tensor, backend: str) -> Gradients:
    found, edge = kept
    row_a, row_b = (row.index_select(0, edge) for row in (found.row_a, found.row_b))
    return _to_bodies(found._replace(row_a=row_a, row_b=row_b), gradient, backend)


def _keep_edges(asked: NearestSearch, answer: tuple[Tensor, ...]) -> _FoundOfEdges:
    search = asked.search
    return _FoundOfEdges(Found(search.bodies, search.a.row, search.b.row, *answer[1:]), asked.edge)


region_nearest.differentiate(_FoundOfEdges, _keep_edges, _to_bodies_of_edges)

# ---------------------------------------------------------------- all regions against all regions

region_matrix = Operator(
    "region_matrix",
    MatrixSearch,
    3,
    lambda backend, search: backend.region_matrix(search),
    lambda search: _blank_minima(search.vertices_a, search.shape),
)


class _FoundMatrix(NamedTuple):
    vertices_a: Tensor
    vertices_b: Tensor
    index_a: Tensor
    index_b: Tensor


def _to_both(kept: _FoundMatrix, gradient: Tensor, backend: str) -> Gradients:
    a, b, index_a, index_b = kept
    row = torch.arange(a.shape[0], device=a.device).repeat_interleave(index_a[:1].numel())
    found = Found(Bodies(a, b), row, row, index_a.reshape(-1), index_b.reshape(-1))
    to_a, to_b = edge_gradient(EdgeGradient(found, gradient.reshape(-1)), backend)
    return {"vertices_a": to_a, "vertices_b": to_b}


region_matrix.differentiate(
    _FoundMatrix,
    lambda search, answer: _FoundMatrix(search.vertices_a, search.vertices_b, *answer[1:]),
    _to_both,
)

# ---------------------------------------------------------------- soft minimum along edges

region_soft_min_gradient = Operator(
    "region_soft_min_gradient",
    SoftGradient,
    2,
    lambda backend, asked: backend.region_soft_min_gradient(asked),
    lambda asked: tuple(torch.empty_like(side.vertices) for side in asked.found.soft.search.sides),
)


def _blank_soft(soft: SoftSearch) -> tuple[Tensor, ...]:
    return tuple(soft.search.bodies.a.new_empty(soft.search.edges) for _ in range(3))


def _to_soft_bodies(found: SoftFound, gradient: Tensor, backend: str) -> Gradients:
    to_a, to_b = region_soft_min_gradient(SoftGradient(found, gradient), backend)
    return {"bodies.a": to_a, "bodies.second": to_b}


region_soft_min = Operator(
    "region_soft_min",
    SoftSearch,
    3,
    lambda backend, soft: backend.region_soft_min(soft),
    _blank_soft,
)
region_soft_min.differentiate(SoftFound, lambda soft, answer: SoftFound(soft, *answer[1:]), _to_soft_bodies)

# ---------------------------------------------------------------- nearest vertex and nearest surface point


def _blank_nearest(query: Query) -> tuple[Tensor, Tensor]:
    return query.points.new_empty(query.shape), query.points.new_empty(query.shape, dtype=torch.int64)


nearest_gradient = Operator(
    "nearest_gradient",
    VertexGradient,
    2,
    lambda backend, asked: backend.nearest_gradient(asked),
    lambda asked: _blank_gradients(asked.near.points, asked.near.vertices),
)


def _from_vertices(near: NearPoints, gradient: Tensor, backend: str) -> Gradients:
    to_points, to_vertices = nearest_gradient(VertexGradient(near, gradient), backend)
    return {"query.points": to_points, "vertices": to_vertices}


nearest_vertex = Operator(
    "nearest_vertex",
    VertexSearch,
    2,
    lambda backend, search: backend.nearest_vertex(search),
    lambda search: _blank_nearest(search.query),
)
nearest_vertex.differentiate(
    NearPoints,
    lambda search, answer: NearPoints(search.query.points, search.vertices, search.query.rows, answer[1]),
    _from_vertices,
)

surface_gradient = Operator(
    "surface_gradient",
    SurfaceGradient,
    2,
    lambda backend, asked: backend.surface_gradient(asked),
    lambda asked: _blank_gradients(asked.near.points, asked.near.vertices),
)


def _from_surface(near: NearFaces, gradient: Tensor, backend: str) -> Gradients:
    to_points, to_vertices = surface_gradient(SurfaceGradient(near, gradient), backend)
    return {"query.points": to_points, "vertices": to_vertices}


def _keep_faces(search: SurfaceSearch, answer: tuple[Tensor, ...]) -> NearFaces:
    query = search.query
    return NearFaces(query.points, search.vertices, query.rows, answer[1], answer[2], search.faces)


def _blank_surface(search: SurfaceSearch) -> tuple[Tensor, ...]:
    weights = search.query.points.new_empty((*search.query.shape, 3))
    return *_blank_nearest(search.query), weights


nearest_surface = Operator(
    "nearest_surface",
    SurfaceSearch,
    3,
    lambda backend, search: backend.nearest_surface(search),
    _blank_surface,
)
nearest_surface.differentiate(NearFaces, _keep_faces, _from_surface)

# ---------------------------------------------------------------- inside: a threshold, so without gradient

winding_number = Operator(
    "winding_number",
    WindingSearch,
    2,
    lambda backend, search: backend.winding_number(search),
    lambda search: tuple(search.query.points.new_empty(search.query.shape) for _ in range(2)),
)

inside = Operator(
    "inside",
    InsideSearch,
    1,
    lambda backend, search: backend.inside(search),
    lambda search: search.query.points.new_empty(search.query.shape, dtype=torch.bool),
)
