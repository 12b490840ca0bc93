"""Points that ask about posed meshes: laid out once, for every question that operators put to them."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from torch import Tensor

from apu_losses.geometry import custom_ops
from apu_losses.geometry.checks import check_alike, check_items, check_vertices
from apu_losses.geometry.constants import FAR
from apu_losses.geometry.operators.request import Faces, answer
from apu_losses.geometry.requests import (
    InsideSearch,
    ItemRows,
    Query,
    SurfaceSearch,
    VertexSearch,
    WindingSearch,
)
from apu_losses.geometry.topology import MeshTopology, as_topology
from apu_losses.geometry.types import BackendName, NearestSurface, WindingNumber
from apu_losses.numerics.precision import widen

Rows = tuple[Tensor, Tensor] | None
WindingMethod = Literal["tree", "exact", "rays"]


def slots_of(topology: MeshTopology | None, example: Tensor) -> Tensor | None:
    """Return the block order of a mesh's vertices, where the example is."""
    return None if topology is None else topology.to(example.device).slots


def query_of(
    points: Tensor, rows: Rows, wanted: Tensor | None, points_topology: MeshTopology | None
) -> Query:
    """Return points as requests hold them, checked."""
    check_items(points, rows, wanted)
    return Query(points, slots_of(points_topology, points), wanted, None if rows is None else ItemRows(*rows))


class MeshQuery(NamedTuple):
    """Points that ask about posed meshes."""

    query: Query
    vertices: Tensor
    topology: MeshTopology

    @classmethod
    def of(
        cls,
        points: Tensor,
        vertices: Tensor,
        faces: Faces,
        rows: Rows,
        wanted: Tensor | None,
        points_topology: MeshTopology | None,
    ) -> MeshQuery:
        check_vertices("vertices", vertices)
        topology = as_topology(faces, vertices).to(vertices.device)
        check_vertices("points", points, points_topology.vertex_count if points_topology else None)
        check_vertices("vertices", vertices, topology.vertex_count)
        points, vertices = widen(points), widen(vertices)
        check_alike("points", points, "vertices", vertices, batch=rows is None)
        return cls(query_of(points, rows, wanted, points_topology), vertices, topology)

    def detached(self) -> MeshQuery:
        query = self.query._replace(points=self.query.points.detach())
        return self._replace(query=query, vertices=self.vertices.detach())

    def nearest_vertex(self, skipped: float, backend: BackendName) -> tuple[Tensor, Tensor]:
        slots = slots_of(self.topology, self.vertices)
        search = VertexSearch(self.query, self.vertices, slots, math.inf, skipped)
        found: tuple[Tensor, Tensor] = answer(custom_ops.nearest_vertex, search, backend)
        return found

    def nearest_surface(self, limit: float, skipped: float, backend: BackendName) -> NearestSurface:
        faces = self.topology.faces, self.topology.face_slots
        search = SurfaceSearch(self.query, self.vertices, *faces, limit, skipped)
        return NearestSurface(*answer(custom_ops.nearest_surface, search, backend))

    def winding_number(self, method: WindingMethod, boxed: bool, backend: BackendName) -> WindingNumber:
        search = WindingSearch(*self.detached()[:2], self.topology.tree, method, FAR, boxed)
        return WindingNumber(*answer(custom_ops.winding_number, search, backend))

    def inside(self, method: WindingMethod, backend: BackendName) -> Tensor:
        if method != "tree":
            return self.winding_number(method, True, backend).value > 0.5
        search = InsideSearch(*self.detached()[:2], self.topology.tree)
        within: Tensor = answer(custom_ops.inside, search, backend)
        return within
