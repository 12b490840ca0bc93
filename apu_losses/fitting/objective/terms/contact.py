"""Who touches whom: the contact graph, and what to do where only that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.contact import (
    ContactForm,
    ContactSelection,
    Mode,
    chamfer_energy,
    check_soft,
    contact_energy,
    contact_weights,
    select_contacts,
)
from apu_losses.functional.contact_edges import ContactEdges, Over
from apu_losses.functional.facing import facing_energy
from apu_losses.functional.nearest import (
    NearestSelection,
    minimum_distance_energy,
    select_nearest,
)
from apu_losses.functional.rows import spread_points
from apu_losses.geometry import MeshTopology
from apu_losses.numerics.normals import FaceRing, point_normals


@dataclass(frozen=True)
class ContactTerm:
    """The soft contact loss (paper section 3.1) over the scene's contact graph, square metres.

    Options: ``over`` (``"parts"``, ``"pairs"``), ``mode``, ``robust`` (metres), ``soft`` (square metres), see
    `apu_losses.functional.ContactForm`. Whether a person order is open stands in each `SceneContact`.
    """

    over: Over = "parts"
    mode: Mode = "min"
    robust: float | None = None
    soft: float | None = None

    def __post_init__(self) -> None:
        check_options(self, "robust", "soft")
        check_soft(self.soft, self.over)
        self._form()

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        edges = self._edges(batch)
        if not len(edges):
            return state.vertices.new_zeros(batch.size)
        if self.mode == "chamfer_quartic":
            return batch.per_scene(_chamfer(state, edges), batch.edge_scene)
        chosen, (points_a, points_b) = state.once(self, lambda: self._search(state))
        return batch.per_scene(contact_energy(points_a, points_b, chosen), batch.edge_scene)

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return what separates the points that decide each contact; its weight is that of the moment."""
        if not len(self._edges(state.batch)):
            return no_residuals(state, movement)
        chosen, (points_a, points_b) = state.once(self, lambda: self._search(state))
        return _between(movement, points_a, points_b, chosen, contact_weights(points_a, points_b, chosen))

    def _form(self) -> ContactForm:
        return ContactForm(self.mode, self.robust, self.soft)

    def _edges(self, batch: SceneBatch) -> ContactEdges:
        return batch.contact_edges(self.over, one_search_a_pair=self.soft is not None)

    def _search(self, state: FitState) -> tuple[ContactSelection, tuple[Tensor, Tensor]]:
        chosen = select_contacts(state.vertices, self._edges(state.batch), state.regions, self._form())
        return chosen, _points(state, chosen)


@dataclass(frozen=True)
class FacingTerm:
    """The surfaces of a contact face each other: normals at the points that decide it are opposite. No unit.

    Options: ``over``, as of the contact term; ``within``, metres: contacts further apart do not turn yet. See
    `apu_losses.functional.facing_energy`.
    """

    over: Over = "parts"
    within: float = 0.1
    _rings: list[tuple[MeshTopology, FaceRing]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_options(self, "within")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        edges = batch.contact_edges(self.over)
        if not len(edges):
            return state.vertices.new_zeros(batch.size)
        chosen = select_contacts(state.vertices, edges, state.regions)
        ring = self._ring(state.topology)
        rows = torch.cat([chosen.row_a, chosen.row_b])
        ids = torch.cat([chosen.vertex_a, chosen.vertex_b])
        face, owner = ring.of(ids)
        corners = state.select(rows[owner].repeat_interleave(3), state.topology.faces[face].reshape(-1))
        normals_a, normals_b = point_normals(corners.reshape(-1, 3, 3), owner, len(ids)).chunk(2)
        a, b = state.vertices[rows, ids].chunk(2)
        energy = facing_energy(normals_a, normals_b, (a - b).norm(dim=1), chosen, within=self.within)
        return batch.per_scene(energy, batch.edge_scene)

    def _ring(self, topology: MeshTopology) -> FaceRing:
        if not self._rings or self._rings[0][0] is not topology:
            self._rings[:] = [(topology, FaceRing.build(topology.faces, topology.vertex_count))]
        return self._rings[0][1]


@dataclass(frozen=True)
class MinimumDistanceTerm:
    """The nearest two points of people who touch are pulled together; square metres. Needs no contact labels.

    Options: ``between``: ``"edges"``: the two people of each edge of the contact graph, whose map does not
    matter and may be empty; a scene of just two people needs no edge. ``"people"``: every two people of a
    scene, as BUDDI does for its two.
    """

    between: Literal["edges", "people"] = "edges"

    def __post_init__(self) -> None:
        check_options(self)

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        named = self._named(batch)
        if not len(named):
            return state.vertices.new_zeros(batch.size)
        found, (points_a, points_b) = state.once(self, lambda: self._search(state))
        return batch.per_scene(minimum_distance_energy(points_a, points_b, found), batch.pair_scene[named])

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return what separates the nearest points."""
        if not len(self._named(state.batch)):
            return no_residuals(state, movement)
        found, (points_a, points_b) = state.once(self, lambda: self._search(state))
        return _between(movement, points_a, points_b, found, found.valid.to(points_a.dtype))

    def _named(self, batch: SceneBatch) -> Tensor:
        """Return indices of the pairs of people that are pulled together."""
        if self.between == "people":
            return torch.arange(len(batch.pair_a), device=batch.pair_a.device)
        return torch.nonzero(_joined_by_an_edge(batch))[:, 0]

    def _search(self, state: FitState) -> tuple[NearestSelection, tuple[Tensor, Tensor]]:
        batch, named = state.batch, self._named(state.batch)
        found = select_nearest(state.vertices, state.topology, batch.pair_a[named], batch.pair_b[named])
        return found, _points(state, found)


def _chamfer(state: FitState, edges: ContactEdges) -> Tensor:
    """``(E,)`` the chamfer energies of edges; skins what takes part, each vertex once, and no more."""
    known = edges.both_orders.every_vertex(state.regions)
    points = state.select(known.row, known.vertex)
    whole = spread_points(points, known.row, known.vertex, state.batch.rows, state.regions.vertex_count)
    return chamfer_energy(whole, edges, state.regions)


def _points(state: FitState, chosen: ContactSelection | NearestSelection) -> tuple[Tensor, Tensor]:
    """``(S, 3)`` the chosen points of either side, with gradient."""
    rows = torch.cat([chosen.row_a, chosen.row_b])
    points = state.select(rows, torch.cat([chosen.vertex_a, chosen.vertex_b]))
    return points[: len(chosen)], points[len(chosen) :]


def _between(
    movement: Movement,
    points_a: Tensor,
    points_b: Tensor,
    chosen: ContactSelection | NearestSelection,
    weight: Tensor,
) -> Residuals:
    """Return the differences of chosen points, and how they move."""
    rows = torch.cat([chosen.row_a, chosen.row_b])
    moved = movement.select(rows, torch.cat([chosen.vertex_a, chosen.vertex_b]))
    count = len(chosen)
    return Residuals(
        points_a - points_b, weight, [(chosen.row_a, moved[:count]), (chosen.row_b, -moved[count:])]
    )


def _joined_by_an_edge(batch: SceneBatch) -> Tensor:
    """``(Q,)`` which pairs of people an edge joins; the only pair of a scene without edges counts, too."""
    edges = set(zip(batch.edge_rows_a, batch.edge_rows_b, strict=True))
    bare = {s for s, scene in enumerate(batch.scenes) if len(scene.people) == 2 and not scene.contacts}
    listed = zip(batch.pair_a.tolist(), batch.pair_b.tolist(), batch.pair_scene.tolist(), strict=True)
    joined = [(a, b) in edges or (b, a) in edges or scene in bare for a, b, scene in listed]
    return torch.tensor(joined, dtype=torch.bool, device=batch.pair_a.device)
