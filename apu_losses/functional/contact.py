"""The soft contact loss: surface regions that touch in the image are pulled together (paper section 3.1).

``L_C = sum_k W_k d_k^2`` in squared metres, where ``d_k`` is the smallest distance between the two sets of
vertices that contact k names. Written in two steps, so that a fitter need not skin whole bodies with
gradient:

1. `select_contacts` finds, without gradient, the few vertices that decide the loss;
2. `contact_energy` computes the loss from those points alone, with its exact gradient.

`soft_contact` is both steps for pairs of vertex tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap, Order
from apu_losses.functional.contact_edges import ContactEdges, Over, edges_of_pairs, maps_of_pairs
from apu_losses.functional.options import described
from apu_losses.functional.robust import geman_mcclure
from apu_losses.functional.rows import gather_points, stack_pairs
from apu_losses.functional.two_meshes import check_two, edges_of_two, side_by_side, smaller_order
from apu_losses.geometry.checks import check_vertices
from apu_losses.geometry.eager import EdgePlan, goes_the_short_way, nearest_energies
from apu_losses.geometry.operators import Regions, region_min_distance, region_nearest_vertex
from apu_losses.geometry.topology import RegionIndex, RegionLists, as_region_index, known_region_index
from apu_losses.geometry.types import BackendName
from apu_losses.numerics.distances import distance2
from apu_losses.numerics.precision import widen

Mode = Literal["min", "chamfer_quartic"]


@dataclass(frozen=True)
class ContactForm:
    """How the distance of a contact becomes its energy.

    Args:
        mode: ``"min"``: the squared smallest distance, as the paper prints it. ``"chamfer_quartic"``: the
            mean over the vertices of either side of ``(100 d^2)^2``, d the distance to the nearest vertex of
            the other side, summed over both sides: what BUDDI's code computes, but over all vertices of a
            region, not 40 drawn ones.
        robust: metres; contacts further apart than this let go. The energy is Geman-McClure's
            ``rho^2 d^2 / (rho^2 + d^2)``, whose gradient is that of ``w d^2`` with the weight
            ``w = (rho^2 / (rho^2 + d^2))^2`` recomputed from the current distance. ``None``: never.
        soft: temperature T in squared metres of a soft minimum over the region pairs of a contact,
            ``-T log mean exp(-d^2 / T)``; between the smallest and the mean squared distance. ``None``: the
            smallest.

    Raises:
        ValueError: an unknown mode, a number that is not positive, or ``robust``/``soft`` with
            ``"chamfer_quartic"``.

    Example:
        >>> from apu_losses.functional import ContactForm
        >>> ContactForm(robust=0.1)
        ContactForm(mode='min', robust=0.1, soft=None)
    """

    mode: Mode = "min"
    robust: float | None = None
    soft: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("min", "chamfer_quartic"):
            raise ValueError(f"mode must be 'min' or 'chamfer_quartic', got {self.mode!r}")
        for name, value in (("robust", self.robust), ("soft", self.soft)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive or None, got {value}")
            if value is not None and self.mode != "min":
                raise ValueError(f"{name} is defined for mode='min' only, got mode={self.mode!r}")


@dataclass(frozen=True)
class ContactSelection:
    """The vertices that decide the loss, and how their distances are combined. S point pairs, C contacts, E
    edges.

    Attributes:
        row_a, vertex_a, row_b, vertex_b: ``(S,)`` body row and vertex id of either point.
        valid: ``(S,)`` False where a coordinate was not finite; the loss of that contact is then NaN.
        share: ``(S,)`` the part of its contact's energy that a point pair carries.
        contact: ``(S,)`` the contact that a point pair belongs to.
        weight: ``(C,)`` W of each contact.
        edge: ``(C,)`` the edge of each contact.
        swapped: ``(E,)`` whether the map of an open edge was read with its two bodies exchanged.
        form: how distances become energies.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import edges_of_pairs, select_contacts
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0), (1, 2)], [1.0, 0.5])])
        >>> vertices = torch.cat([verts_a, verts_b])
        >>> chosen = select_contacts(vertices, edges, regions)
        >>> chosen.vertex_a.tolist(), chosen.vertex_b.tolist(), chosen.weight.tolist()
        ([0, 1], [0, 2], [1.0, 0.5])
    """

    row_a: Tensor
    vertex_a: Tensor
    row_b: Tensor
    vertex_b: Tensor
    valid: Tensor
    share: Tensor
    contact: Tensor
    weight: Tensor
    edge: Tensor
    swapped: Tensor
    form: ContactForm

    def __len__(self) -> int:
        return len(self.row_a)


@torch.no_grad()
def select_contacts(
    vertices: Tensor,
    edges: ContactEdges,
    regions: Regions,
    form: ContactForm | None = None,
    *,
    backend: BackendName = "auto",
) -> ContactSelection:
    """Find the vertices that decide the contact loss. No gradient; pass their positions to `contact_energy`.

    Of an edge whose person order is open, the order with the smaller energy is taken: evaluated anew in each
    call, this is the paper's ``min(L_C(a, b), L_C(b, a))``. A tie keeps the order as given.

    Args:
        vertices: ``(N, V, 3)`` all bodies, metres.
        edges: who touches whom.
        regions: the 75 regions of this topology.
        form: how distances become energies; the paper's minimum by default.
        backend: of the geometry search.

    Raises:
        ValueError: a region map of another topology, or a contact with a region that has no vertices.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import edges_of_pairs, select_contacts
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0), (1, 2)], [1.0, 0.5])])
        >>> vertices = torch.cat([verts_a, verts_b])
        >>> chosen = select_contacts(vertices, edges, regions)
        >>> chosen.row_a.tolist(), chosen.vertex_a.tolist(), chosen.row_b.tolist(), chosen.vertex_b.tolist()
        ([0, 0], [0, 1], [1, 1], [0, 2])
    """
    form = ContactForm() if form is None else form
    vertices = _bodies("vertices", vertices, regions).detach()
    edges = edges.to(vertices.device)
    both = edges.both_orders if edges.any_open else edges
    search = _search_minimum if form.mode == "min" else _search_every_vertex
    found, squared = search(vertices, both, regions, form, backend)
    swapped = torch.zeros_like(edges.edge_either)
    if both.edge_count == edges.edge_count:
        return ContactSelection(**found, weight=both.weight, edge=both.edge, swapped=swapped, form=form)

    energy = _per_contact(squared, found, len(both), form) * both.weight.to(squared.dtype)
    totals = energy.new_zeros(both.edge_count).index_add(0, both.edge, energy)
    open_edges = torch.nonzero(edges.edge_either)[:, 0]
    given, exchanged = totals[open_edges], totals[edges.edge_count :]
    swapped[open_edges] = _prefer(exchanged, given)
    chosen = torch.cat([~swapped, swapped[open_edges]])
    original = torch.cat([torch.arange(edges.edge_count, device=vertices.device), open_edges])
    contacts = torch.nonzero(chosen[both.edge])[:, 0]
    number = torch.full_like(both.edge, -1)
    number[contacts] = torch.arange(len(contacts), device=vertices.device)
    points = torch.nonzero(number[found["contact"]] >= 0)[:, 0]
    kept = {name: column[points] for name, column in found.items()}
    kept["contact"] = number[kept["contact"]]
    return ContactSelection(
        **kept, weight=both.weight[contacts], edge=original[both.edge[contacts]], swapped=swapped, form=form
    )


def chamfer_energy(
    vertices: Tensor, edges: ContactEdges, regions: Regions, *, backend: BackendName = "auto"
) -> Tensor:
    """Return the contact loss of the form ``"chamfer_quartic"`` of whole bodies, with gradient, in one step.

    What `select_contacts` and `contact_energy` give together, several times faster where there are many
    region pairs, because the search has a gradient of its own. That one cannot be mapped or differentiated
    twice.

    Args:
        vertices: ``(N, V, 3)`` metres; only those that ``edges.both_orders.every_vertex`` lists are looked
            at.
        edges, regions, backend: as of `select_contacts`.

    Returns:
        ``(E,)``

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import chamfer_energy, edges_of_pairs
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0)])])
        >>> chamfer_energy(torch.cat([verts_a, verts_b]), edges, regions)  # 2 * (100 * 0.3 ** 2) ** 2
        tensor([162.])
    """
    vertices = _bodies("vertices", vertices, regions)
    edges = edges.to(vertices.device)
    both = edges.both_orders if edges.any_open else edges
    columns, squared = _search_every_vertex(vertices, both, regions, ContactForm("chamfer_quartic"), backend)
    squared = torch.where(columns["valid"], squared, torch.nan)
    energy = _per_contact(squared, columns, len(both), ContactForm("chamfer_quartic"))
    energy = energy * both.weight.to(energy)
    totals = energy.new_zeros(both.edge_count).index_add(0, both.edge, energy)
    if both.edge_count == edges.edge_count:
        return totals
    open_edges = torch.nonzero(edges.edge_either)[:, 0]
    given, exchanged = totals[open_edges], totals[edges.edge_count :]
    smaller = torch.where(_prefer(exchanged, given), exchanged, given)
    return totals[: edges.edge_count].index_copy(0, open_edges, smaller)


def _prefer(exchanged: Tensor, given: Tensor) -> Tensor:
    """Whether the exchanged order counts; NaN does: a broken body must not hide behind the other order."""
    return (exchanged < given) | exchanged.isnan()


def contact_energy(points_a: Tensor, points_b: Tensor, selection: ContactSelection) -> Tensor:
    """Return the contact loss from the selected points alone; with gradient.

    Args:
        points_a, points_b: ``(S, 3)`` metres: the positions of ``selection.vertex_a`` on bodies
            ``selection.row_a``, and of ``vertex_b`` on ``row_b``.

    Returns:
        ``(E,)`` one value an edge, squared metres; 0 with zero gradient for an edge without contacts. The
        gradient is that of the whole loss, since vertices that are not nearest do not move a minimum.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import contact_energy, edges_of_pairs, select_contacts
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0), (1, 2)], [1.0, 0.5])])
        >>> vertices = torch.cat([verts_a, verts_b])
        >>> chosen = select_contacts(vertices, edges, regions)
        >>> points_a = vertices[chosen.row_a, chosen.vertex_a]
        >>> points_b = vertices[chosen.row_b, chosen.vertex_b]
        >>> contact_energy(points_a, points_b, chosen)  # 0.3 ** 2 + 0.5 * (0.3 ** 2 + 1)
        tensor([0.6350])
    """
    energy = contact_values(points_a, points_b, selection)
    energy = energy * selection.weight.to(energy)
    return energy.new_zeros(len(selection.swapped)).index_add(0, selection.edge, energy)


def contact_weights(points_a: Tensor, points_b: Tensor, selection: ContactSelection) -> Tensor:
    """How much the loss grows with the squared distance of each point pair: ``(S,)``, without gradient.

    Held for a step, ``sum_s w_s d_s^2`` has the loss's gradient: what Gauss-Newton needs of weights, of the
    robust function and of the soft minimum. 0 for pairs that were not finite. Arguments as of
    `contact_energy`.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import contact_weights, edges_of_pairs, select_contacts
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0), (1, 2)], [1.0, 0.5])])
        >>> vertices = torch.cat([verts_a, verts_b])
        >>> chosen = select_contacts(vertices, edges, regions)
        >>> points_a = vertices[chosen.row_a, chosen.vertex_a]
        >>> points_b = vertices[chosen.row_b, chosen.vertex_b]
        >>> contact_weights(points_a, points_b, chosen)
        tensor([1.0000, 0.5000])
    """
    with torch.enable_grad():
        squared = distance2(widen(points_a.detach()), widen(points_b.detach()))
        squared = torch.where(selection.valid, squared, 0.0).requires_grad_()
        columns = {"contact": selection.contact, "share": selection.share}
        value = _per_contact(squared, columns, len(selection.weight), selection.form)
        (slope,) = torch.autograd.grad((value * selection.weight.to(value)).sum(), squared)
    return torch.where(selection.valid, slope, 0.0)


def contact_values(points_a: Tensor, points_b: Tensor, selection: ContactSelection) -> Tensor:
    """Energy of each contact before its weight: ``(C,)``, squared metres. Arguments as of
    `contact_energy`.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import contact_values, edges_of_pairs, select_contacts
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0), (1, 2)], [1.0, 0.5])])
        >>> vertices = torch.cat([verts_a, verts_b])
        >>> chosen = select_contacts(vertices, edges, regions)
        >>> points_a = vertices[chosen.row_a, chosen.vertex_a]
        >>> points_b = vertices[chosen.row_b, chosen.vertex_b]
        >>> contact_values(points_a, points_b, chosen)
        tensor([0.0900, 1.0900])
    """
    expected = (len(selection), 3)
    for name, points in (("points_a", points_a), ("points_b", points_b)):
        if points.shape != expected:
            raise ValueError(
                f"{name} must have shape {expected}, one point per selected vertex, got {tuple(points.shape)}"
            )
    points_a, points_b = widen(points_a), widen(points_b)
    keep = selection.valid[:, None]
    # Masked before the distance, so that a NaN coordinate has no NaN gradient to spread.
    squared = distance2(torch.where(keep, points_a, 0.0), torch.where(keep, points_b, 0.0))
    squared = torch.where(selection.valid, squared, torch.nan)
    columns = {"contact": selection.contact, "share": selection.share}
    return _per_contact(squared, columns, len(selection.weight), selection.form)


class ContactValues(NamedTuple):
    """The energies of the contacts of B pairs, flat: C contacts in all.

    Attributes:
        value: ``(C,)`` energy of each contact before its weight, squared metres; with gradient.
        weight: ``(C,)`` W of each contact, as its map states it.
        offsets: ``(B + 1,)`` pair b has contacts ``offsets[b]`` to ``offsets[b + 1] - 1``, in the order of
            ``contact_maps[b].groups()`` (``merged().groups()`` with ``over="pairs"``).

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import soft_contact_values
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> found = soft_contact_values(verts_a, verts_b, ContactMap([(0, 0), (1, 2)], [1.0, 0.5]), regions)
        >>> found.per_pair(), found.per_pair(torch.tensor([1.0, 0.0]))
        (tensor([0.6350]), tensor([0.0900]))
    """

    value: Tensor
    weight: Tensor
    offsets: Tensor

    @property
    def pair(self) -> Tensor:
        """``(C,)`` the pair that each contact belongs to."""
        return torch.arange(len(self.offsets) - 1, device=self.offsets.device).repeat_interleave(
            self.offsets.diff()
        )

    def per_pair(self, weight: Tensor | None = None) -> Tensor:
        """``(B,)`` weighted sums: the loss, or with weights ``(C,)`` of your own what these make of it."""
        weighted = self.value * (self.weight if weight is None else weight).to(self.value)
        return weighted.new_zeros(len(self.offsets) - 1).index_add(0, self.pair, weighted)


def soft_contact_values(
    verts_a: Tensor,
    verts_b: Tensor,
    contact_maps: ContactMap | Sequence[ContactMap],
    regions: Regions,
    *,
    over: Over = "parts",
    mode: Mode = "min",
    robust: float | None = None,
    soft: float | None = None,
    order: Order | Sequence[Order] = "given",
    backend: BackendName = "auto",
) -> ContactValues:
    """`soft_contact` before it is summed: one value a contact, for weights that are learned or logged.

    Arguments and errors as of `soft_contact`. ``per_pair()`` of the result is the loss.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import soft_contact_values
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(2, 75, 3)
        >>> verts_a[:, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> maps = [ContactMap([(0, 0), (1, 2)], [1.0, 0.5]), ContactMap([(2, 2)])]
        >>> found = soft_contact_values(verts_a, verts_b, maps, regions)
        >>> found.value, found.weight, found.offsets
        (tensor([0.0900, 1.0900, 0.0900]), tensor([1.0000, 0.5000, 1.0000]), tensor([0, 2, 3]))
        >>> found.per_pair()
        tensor([0.6350, 0.0900])
    """
    check_soft(soft, over)
    check_vertices("verts_a", verts_a)
    edges = edges_of_pairs(
        maps_of_pairs(contact_maps, len(verts_a)),
        over=over,
        order=order,
        one_search_a_pair=soft is not None,
        dtype=widen(verts_a[:0]).dtype,
        device=verts_a.device,
    )
    return pair_contact_values(
        verts_a, verts_b, edges, regions, ContactForm(mode, robust, soft), backend=backend
    )


def pair_contact_values(
    verts_a: Tensor,
    verts_b: Tensor,
    edges: ContactEdges,
    regions: Regions,
    form: ContactForm | None = None,
    *,
    backend: BackendName = "auto",
) -> ContactValues:
    """`soft_contact_values` with its contact maps laid out once; arguments as of `pair_contact`.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import edges_of_pairs, pair_contact_values
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0), (1, 2)])])
        >>> pair_contact_values(verts_a, verts_b, edges, regions).value
        tensor([0.0900, 1.0900])
    """
    vertices, _, _ = stack_pairs(verts_a, verts_b)
    if edges.edge_count != len(verts_a):
        raise ValueError(f"edges must hold one edge a pair ({len(verts_a)}), got {edges.edge_count}")
    return _values_of(
        vertices, select_contacts(vertices, edges, regions, form, backend=backend), len(verts_a)
    )


def _values_of(vertices: Tensor, selection: ContactSelection, pairs: int) -> ContactValues:
    points_a = gather_points(vertices, selection.row_a, selection.vertex_a)
    points_b = gather_points(vertices, selection.row_b, selection.vertex_b)
    value = contact_values(points_a, points_b, selection)
    # contacts that were read in the exchanged order stand at the end
    place = torch.argsort(selection.edge, stable=True)
    counts = torch.bincount(selection.edge, minlength=pairs)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return ContactValues(value[place], selection.weight[place].to(value), offsets)


def soft_contact(
    verts_a: Tensor,
    verts_b: Tensor,
    contact_maps: ContactMap | Sequence[ContactMap],
    regions: Regions,
    *,
    regions_b: Regions | None = None,
    over: Over = "parts",
    mode: Mode = "min",
    robust: float | None = None,
    soft: float | None = None,
    order: Order | Sequence[Order] = "given",
    backend: BackendName = "auto",
) -> Tensor:
    """Return the contact loss of B pairs of bodies, ``sum_k W_k d_k^2`` (paper section 3.1).

    Args:
        verts_a, verts_b: ``(B, V, 3)`` metres, the two people of each pair, of one mesh topology; with
            ``regions_b`` of two, ``(B, V', 3)``.
        contact_maps: one for all pairs, or one a pair; an empty one gives 0 and zero gradient.
        regions: the 75 regions of this topology.
        regions_b: of the mesh of ``verts_b``, where it is another: an infant model, MHR, or an object that
            has regions of its own under numbers from 0 to 74. Eager code only; slower than one topology.
        over: ``"parts"``: one minimum over the union of the two parts of each part contact (a group of the
            map; without groups each region pair is one). ``"pairs"``: every region pair counts, the formula
            as printed, for maps whose pairs were each seen to touch.
        mode, robust, soft: see `ContactForm`.
        order: ``"either"`` takes the smaller of both person orders; one, or one a pair.
        backend: of the geometry search.

    Returns:
        ``(B,)`` squared metres (``"chamfer_quartic"``: of unit ``(100 m^2)^2``), differentiable. NaN where a
        vertex of a region that takes part is not finite.

    Raises:
        ValueError: shapes that do not agree, a region map of another topology, ``soft`` without
            ``over="parts"``.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import soft_contact
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> soft_contact(verts_a, verts_b, ContactMap([(0, 0)]), regions)
        tensor([0.0900])
        >>> soft_contact(verts_a, verts_b, ContactMap([(0, 0)]), regions, robust=0.3)  # half of it is let go
        tensor([0.0450])
    """
    check_soft(soft, over)
    check_vertices("verts_a", verts_a)
    if regions_b is not None:
        return contact_of_two(
            verts_a,
            verts_b,
            maps_of_pairs(contact_maps, len(verts_a)),
            regions,
            regions_b,
            ContactForm(mode, robust, soft),
            over=over,
            order=order,
            backend=backend,
        )
    edges = edges_of_pairs(
        maps_of_pairs(contact_maps, len(verts_a)),
        over=over,
        order=order,
        one_search_a_pair=soft is not None,
        dtype=widen(verts_a[:0]).dtype,
        device=verts_a.device,
    )
    return pair_contact(verts_a, verts_b, edges, regions, ContactForm(mode, robust, soft), backend=backend)


def contact_of_two(
    verts_a: Tensor,
    verts_b: Tensor,
    contact_maps: Sequence[ContactMap],
    regions: Regions,
    regions_b: Regions,
    form: ContactForm,
    *,
    over: Over,
    order: Order | Sequence[Order],
    backend: BackendName,
) -> Tensor:
    """``(B,)`` of `soft_contact`, of pairs whose two meshes are of different topologies."""
    given = values_of_two(
        verts_a, verts_b, contact_maps, regions, regions_b, form, over=over, backend=backend
    ).per_pair()
    orders = [order] * len(verts_a) if isinstance(order, str) else list(order)
    unknown = [each for each in orders if each not in ("given", "either")]
    if unknown or len(orders) != len(verts_a):
        raise ValueError(
            f"order must be 'given' or 'either', one or one for each of {len(verts_a)} pairs, got {order!r}"
        )
    if "either" not in orders:
        return given
    exchanged = values_of_two(
        verts_a,
        verts_b,
        [each.transposed() for each in contact_maps],
        regions,
        regions_b,
        form,
        over=over,
        backend=backend,
    ).per_pair()
    return smaller_order(given, exchanged, orders)


def values_of_two(
    verts_a: Tensor,
    verts_b: Tensor,
    contact_maps: Sequence[ContactMap],
    regions: Regions,
    regions_b: Regions,
    form: ContactForm,
    *,
    over: Over,
    backend: BackendName,
) -> ContactValues:
    """Return the contacts of `contact_of_two` before they are summed, in the order of people as given."""
    check_regions(regions)
    check_regions(regions_b)
    check_two(verts_a, verts_b, regions, regions_b)
    vertices, index = side_by_side(verts_a, verts_b, regions, regions_b)
    edges = edges_of_two(
        contact_maps,
        index,
        over=over,
        one_search_a_pair=form.soft is not None,
        dtype=vertices.dtype,
        device=vertices.device,
    )
    return _values_of(vertices, select_contacts(vertices, edges, index, form, backend=backend), len(verts_a))


def check_soft(soft: float | None, over: Over) -> None:
    """Refuses a soft minimum that has nothing to choose among."""
    if soft is not None and over != "parts":
        raise ValueError(
            f"soft is a minimum over the region pairs of a part: it needs over='parts', got over={over!r}"
        )


def pair_contact(
    verts_a: Tensor,
    verts_b: Tensor,
    edges: ContactEdges,
    regions: Regions,
    form: ContactForm | None = None,
    *,
    backend: BackendName = "auto",
) -> Tensor:
    """`soft_contact` with its contact maps laid out once, for loops.

    Args:
        verts_a, verts_b: ``(B, V, 3)`` metres.
        edges: B edges; bodies ``0..B-1`` are those of ``verts_a``, ``B..2B-1`` those of ``verts_b``.
        regions, form, backend: as of `select_contacts`.

    Returns:
        ``(B,)``

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import edges_of_pairs, pair_contact
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0)])])
        >>> pair_contact(verts_a, verts_b, edges, regions)
        tensor([0.0900])
    """
    form = ContactForm() if form is None else form
    if goes_the_short_way(backend, verts_a, verts_b):
        plan = _plan(verts_a, verts_b, edges, regions, form)
        if plan is not None:
            return nearest_energies(verts_a, verts_b, plan, edges.weight.numpy(), form.robust)
    vertices, _, _ = stack_pairs(verts_a, verts_b)
    if edges.edge_count != len(verts_a):
        raise ValueError(f"edges must hold one edge a pair ({len(verts_a)}), got {edges.edge_count}")
    selection = select_contacts(vertices, edges, regions, form, backend=backend)
    points_a = gather_points(vertices, selection.row_a, selection.vertex_a)
    points_b = gather_points(vertices, selection.row_b, selection.vertex_b)
    return contact_energy(points_a, points_b, selection)


def _plan(
    verts_a: Tensor, verts_b: Tensor, edges: ContactEdges, regions: Regions, form: ContactForm
) -> EdgePlan | None:
    """For the short way; None where it is not the way, or before anything is wrong or laid out."""
    shape = verts_a.shape
    if form.mode != "min" or form.soft is not None or edges.any_open or edges.weight.requires_grad:
        return None
    if len(shape) != 3 or shape[2] != 3 or verts_b.shape != shape or edges.edge_count != shape[0]:
        return None
    index = known_region_index(regions, shape[1])
    return None if index is None or index.vertex_count != shape[1] else edges.plan(index)


Columns = dict[str, Tensor]


def _per_contact(squared: Tensor, points: Columns, count: int, form: ContactForm) -> Tensor:
    """``(S,)`` squared distances of point pairs to ``(C,)`` energies of contacts."""
    contact = points["contact"]
    zeros = squared.new_zeros(count)
    if form.mode == "chamfer_quartic":
        return zeros.index_add(0, contact, points["share"].to(squared.dtype) * (100 * squared) ** 2)
    value = squared if form.soft is None else _soft_minimum(squared, points, zeros, form.soft)
    return value if form.robust is None else geman_mcclure(value, form.robust)


def _soft_minimum(squared: Tensor, points: Columns, zeros: Tensor, temperature: float) -> Tensor:
    """``-T log mean exp(-d^2 / T)`` per contact; NaN, with zero gradient, for a contact that has a NaN."""
    contact, share = points["contact"], points["share"].to(squared.dtype)
    bad = squared.isnan()
    broken = zeros.bool().index_fill(0, contact[bad], True)
    squared = torch.where(bad, 0.0, squared)
    least = zeros.scatter_reduce(0, contact, squared.detach(), "amin", include_self=False)
    likely = torch.exp((least[contact] - squared) / temperature) * share
    value = least - temperature * torch.log(zeros.index_add(0, contact, likely))
    return torch.where(broken, torch.nan, value)


def _search_minimum(
    vertices: Tensor, edges: ContactEdges, regions: Regions, form: ContactForm, backend: BackendName
) -> tuple[Columns, Tensor]:
    _refuse_empty_regions(edges, regions, vertices)
    searches, contact = edges.searches, edges.contact
    found = region_min_distance(vertices, None, searches, regions, backend=backend)
    least, vertex_a, vertex_b = found
    row_a, row_b = searches.row_a, searches.row_b
    if form.soft is None and len(searches) != len(edges):
        first = _first_smallest(least, contact, len(edges))
        row_a, row_b, vertex_a, vertex_b, least = (
            t[first] for t in (row_a, row_b, vertex_a, vertex_b, least)
        )
        contact = contact[first]
    sizes = torch.bincount(contact, minlength=len(edges)) if len(contact) else contact
    columns = {
        "row_a": row_a,
        "vertex_a": vertex_a.clamp(min=0),
        "row_b": row_b,
        "vertex_b": vertex_b.clamp(min=0),
        "valid": vertex_a >= 0,
        "share": 1 / sizes[contact].to(least.dtype),
        "contact": contact,
    }
    return columns, least


def _search_every_vertex(
    vertices: Tensor, edges: ContactEdges, regions: Regions, form: ContactForm, backend: BackendName
) -> tuple[Columns, Tensor]:
    """For each vertex of either side of each search, the nearest vertex of the other side."""
    _refuse_empty_regions(edges, regions, vertices)
    index = as_region_index(regions, vertices).to(vertices.device)
    squared, vertex_a, vertex_b, _ = region_nearest_vertex(
        vertices, None, edges.searches, index, backend=backend
    )
    known = edges.every_vertex(index)
    columns = {
        "row_a": known.row_a,
        "vertex_a": vertex_a.clamp(min=0),
        "row_b": known.row_b,
        "vertex_b": vertex_b.clamp(min=0),
        "valid": vertex_a >= 0,
        "share": 1 / known.among.to(squared.dtype),
        "contact": known.contact,
    }
    return columns, squared


def _first_smallest(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """``(count,)`` position of the first smallest value of each owner; NaN counts as smallest."""
    keys = torch.where(values.isnan(), -torch.inf, values)
    least = keys.new_full((count,), torch.inf).scatter_reduce(0, owner, keys, "amin")
    hits = torch.nonzero(keys == least[owner])[:, 0]
    first = torch.full((count,), len(values), dtype=torch.int64, device=values.device)
    return first.scatter_reduce(0, owner[hits], hits, "amin")


def check_regions(regions: object) -> None:
    """Refuse what is no region map.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(regions, RegionIndex | RegionLists):
        raise TypeError(
            f"regions must be a RegionMap or RegionIndex, got {described(regions)}; the free body's is "
            "RegionMap.load('free'), a loaded body's apu_losses.bodies.region_map.region_map_for(body)"
        )


def _bodies(name: str, vertices: Tensor, regions: Regions) -> Tensor:
    check_vertices(name, vertices)
    if not torch.compiler.is_compiling():
        check_regions(regions)
    count = getattr(regions, "vertex_count", vertices.shape[1])
    if vertices.shape[1] != count:
        topology = getattr(regions, "topology", None)
        raise ValueError(
            f"{name} has {vertices.shape[1]} vertices a body, but the region map "
            f"{'' if topology is None else f'({topology!r}) '}is for {count}; load the map of this topology"
        )
    return vertices


def _refuse_empty_regions(edges: ContactEdges, regions: Regions, vertices: Tensor) -> None:
    """Compiled code does not look: there a contact with nothing is NaN."""
    if torch.compiler.is_compiling():
        return
    index = as_region_index(regions, vertices)
    used, offsets = edges.searched_regions, index.offsets.cpu()
    empty = used[offsets[used + 1] == offsets[used]]
    if len(empty):
        raise ValueError(
            f"contact_maps name regions {empty.tolist()}, which have no vertices in this region map; "
            "a contact with nothing has no distance"
        )
