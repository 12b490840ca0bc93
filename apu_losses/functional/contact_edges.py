"""Contacts of a whole batch as one graph: bodies are rows, contact maps are edges between rows."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap, Order, PartContact
from apu_losses.geometry.eager import EdgePlan
from apu_losses.geometry.edge_vertices import EdgeVertices, vertices_of_edges
from apu_losses.geometry.topology import RegionIndex, to_be_kept
from apu_losses.geometry.types import RegionPairs
from apu_losses.numerics.outside_graphs import outside_graphs

Over = Literal["pairs", "parts"]


def maps_of_pairs(contact_maps: ContactMap | Sequence[ContactMap], pairs: int | None) -> list[ContactMap]:
    """One map for each of so many pairs of bodies, of one for all of them or one each; None: as many as come.

    Raises:
        TypeError: what is no contact map.
        ValueError: another number of maps.
    """
    if isinstance(contact_maps, ContactMap):
        return [contact_maps] * (1 if pairs is None else pairs)
    if isinstance(contact_maps, str) or not isinstance(contact_maps, Iterable):
        raise TypeError(f"contact_maps must be a ContactMap or a list of them, got {_kind(contact_maps)}")
    if hasattr(contact_maps, "shape"):
        raise TypeError(f"contact_maps must be a ContactMap or a list of them, got {_kind(contact_maps)}")
    maps = list(contact_maps)
    for number, each in enumerate(maps):
        if not isinstance(each, ContactMap):
            raise TypeError(f"contact_maps[{number}] must be a ContactMap, got {_kind(each)}")
    if pairs is not None and len(maps) != pairs:
        raise ValueError(
            f"contact_maps must be one map or one for each of the {pairs} pairs, got {len(maps)}"
        )
    return maps


def _kind(value: object) -> str:
    """Return what came in place of a contact map, and how to make one of it."""
    if value is None:
        return "None; two people who touch nowhere have ContactMap.empty()"
    if isinstance(value, PartContact):
        return "a PartContact; ContactMap.from_parts(contacts) makes one map of the contacts of a pair"
    if hasattr(value, "shape"):
        of = f"{type(value).__name__} of shape {tuple(value.shape)}"
        return f"{of}; ContactMap.from_dense(w) takes one (75, 75) matrix, ContactMap(pairs) a list of pairs"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__}; ContactMap(pairs) takes a list of region pairs"
    return type(value).__name__


@outside_graphs
def edges_of_pairs(
    contact_maps: Sequence[ContactMap],
    *,
    over: Over = "parts",
    order: Order | Sequence[Order] = "given",
    one_search_a_pair: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> ContactEdges:
    """Return the maps of B pairs whose bodies are rows ``0..B-1`` and ``B..2B-1``, as
    `ContactEdges.from_maps`.

    Maps are immutable: the same objects with the same options give the same graph, made once.

    Example:
        >>> from apu_contacts import ContactMap, PartContact
        >>> from apu_losses.functional import edges_of_pairs
        >>> hand_on_back = ContactMap.from_parts([PartContact("hand", "left", "back", "none")])
        >>> len(edges_of_pairs([hand_on_back])), len(edges_of_pairs([hand_on_back], over="pairs"))
        (1, 32)
    """
    count = len(contact_maps)
    orders = (order,) if isinstance(order, str) else tuple(order)
    options = (over, orders, one_search_a_pair, dtype, str(device))
    if not torch._C._len_torch_dispatch_stack():  # under one, tensors may be fake
        edges = _recalled(contact_maps, options)
        if edges is not None:
            return edges
    with to_be_kept():
        edges = ContactEdges.from_maps(
            contact_maps,
            range(count),
            range(count, 2 * count),
            over=over,
            order=order,
            one_search_a_pair=one_search_a_pair,
            dtype=dtype,
            device=device,
        )
    if not torch._C._len_torch_dispatch_stack():
        _recent.appendleft((tuple(weakref.ref(each) for each in contact_maps), options, edges))
    return edges


# Graphs of recent maps, which are not kept alive by it; so the functional form costs what the module costs.
_recent: deque[tuple[tuple[weakref.ref[ContactMap], ...], tuple[Any, ...], ContactEdges]] = deque(maxlen=8)


def _recalled(contact_maps: Sequence[ContactMap], options: tuple[Any, ...]) -> ContactEdges | None:
    for known, made_with, edges in tuple(_recent):
        same = len(known) == len(contact_maps) and made_with == options
        if same and all(a() is b for a, b in zip(known, contact_maps, strict=True)):
            return edges
    return None


@dataclass(frozen=True)
class EveryVertex:
    """What is known ahead of the answers of `region_nearest_vertex` for the searches of a contact graph.

    Attributes:
        row_a, row_b: ``(S,)`` the bodies of the two vertices.
        contact: ``(S,)`` the contact that an answer belongs to.
        among: ``(S,)`` how many vertices its side has.
        row, vertex: ``(U,)`` every vertex of a body that takes part, once; rising.
    """

    row_a: Tensor
    row_b: Tensor
    contact: Tensor
    among: Tensor
    row: Tensor
    vertex: Tensor


@dataclass(frozen=True)
class ContactEdges:
    """Contact maps between bodies, flat: E edges (a map between two bodies) hold C contacts of P searches.

    A contact asks that two sets of regions touch: one region each with ``over="pairs"``, unions of regions
    with ``over="parts"``. It is found by one search, or by several whose smallest (or soft minimum) counts.

    Attributes:
        searches: P pairs of regions (or unions) of two body rows, for `region_min_distance`.
        contact: ``(P,)`` the contact that each search belongs to, rising.
        weight: ``(C,)`` W_ij of the paper.
        edge: ``(C,)`` the edge that each contact belongs to.
        edge_either: ``(E,)`` whether it is open which of the two bodies the map calls *a*.
        over, one_search_a_pair: the options that they were made with, None where they were put together by
            hand.
        any_open: whether it is open for any edge.

    Example:
        >>> from apu_contacts import ContactMap
        >>> from apu_losses.functional import ContactEdges
        >>> maps = [ContactMap([(3, 50), (4, 50)]), ContactMap.empty()]
        >>> edges = ContactEdges.from_maps(maps, [0, 0], [1, 2])
        >>> len(edges), edges.edge_count, edges.row_a.tolist(), edges.row_b.tolist()
        (2, 2, [0, 0], [1, 1])
    """

    searches: RegionPairs
    contact: Tensor
    weight: Tensor
    edge: Tensor
    edge_either: Tensor
    over: Over | None = None
    one_search_a_pair: bool | None = None
    any_open: bool = field(init=False)
    _known: list[tuple[EdgeVertices, EveryVertex]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    _planned: list[tuple[RegionIndex, EdgePlan | None]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        # decided here, once: compiled code cannot look into tensors
        object.__setattr__(self, "any_open", bool(self.edge_either.any()))

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def edge_count(self) -> int:
        """Number of edges, those with an empty map included."""
        return len(self.edge_either)

    @property
    def row_a(self) -> Tensor:
        """``(C,)`` the body that holds the first side of each contact."""
        return self.searches.row_a[self._first_search()]

    @property
    def row_b(self) -> Tensor:
        """``(C,)`` the body that holds the second side."""
        return self.searches.row_b[self._first_search()]

    @classmethod
    def from_maps(
        cls,
        contact_maps: Sequence[ContactMap],
        rows_a: Sequence[int],
        rows_b: Sequence[int],
        *,
        over: Over = "parts",
        order: Order | Sequence[Order] = "given",
        one_search_a_pair: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> ContactEdges:
        """Lay out contact maps as a graph.

        Args:
            contact_maps: E maps; a map may be empty.
            rows_a, rows_b: ``(E,)`` the two bodies that each map is about; equal for self-contact.
            over: ``"parts"``: each group of a map is one contact between the unions of its regions,
                "somewhere on the arm touches somewhere on the back"; a map without groups has one group a
                pair. ``"pairs"``: each region pair of a map is a contact, counted once (the formula as the
                paper prints it, section 3.1).
            order: ``"given"``, or ``"either"`` where it is not known which body is *a*; one, or one a map.
            one_search_a_pair: search each region pair of a group by itself, as a soft minimum needs.

        Raises:
            ValueError: lengths that differ, an unknown option, or a contact of a body's region with itself.
        """
        count = len(contact_maps)
        orders = [order] * count if isinstance(order, str) else list(order)
        if not len(rows_a) == len(rows_b) == len(orders) == count:
            raise ValueError(
                "contact_maps, rows_a, rows_b and order must have the same length, "
                f"got {count}, {len(rows_a)}, {len(rows_b)} and {len(orders)}"
            )
        for given, known, name in (
            (orders, ("given", "either"), "order"),
            ([over], ("pairs", "parts"), "over"),
        ):
            unknown = [value for value in given if value not in known]
            if unknown:
                raise ValueError(f"{name} must be {known[0]!r} or {known[1]!r}, got {unknown[0]!r}")
        columns = _Columns()
        groups = {id(cmap): (cmap if over == "parts" else cmap.merged()).groups() for cmap in contact_maps}
        for number, cmap in enumerate(contact_maps):
            for group in groups[id(cmap)]:
                if rows_a[number] == rows_b[number] and set(group.regions_a) & set(group.regions_b):
                    shared = sorted(set(group.regions_a) & set(group.regions_b))
                    raise ValueError(
                        f"contact_maps[{number}] asks body {rows_a[number]} to touch itself, but "
                        f"{group.name!r} has region {shared[0]} on both sides, which always touches itself; "
                        "leave it out on one side"
                    )
                columns.add(
                    number,
                    rows_a[number],
                    rows_b[number],
                    group.regions_a,
                    group.regions_b,
                    group.weight,
                    one_search_a_pair,
                )
        return cls(
            searches=RegionPairs.from_unions(
                columns.row_a, columns.row_b, columns.regions_a, columns.regions_b
            ),
            contact=torch.tensor(columns.contact, dtype=torch.int64, device="cpu"),
            weight=torch.tensor(columns.weight, dtype=dtype, device="cpu"),
            edge=torch.tensor(columns.edge, dtype=torch.int64, device="cpu"),
            edge_either=torch.tensor([o == "either" for o in orders], dtype=torch.bool, device="cpu"),
            over=over,
            one_search_a_pair=one_search_a_pair,
        ).to(device or "cpu")

    def to(self, device: torch.device | str) -> ContactEdges:
        """Return the same graph on another device; itself where it is already there."""
        if self.weight.device == torch.device(device):
            return self
        tensors = "searches", "contact", "weight", "edge", "edge_either"
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})

    def check_made_for(self, *, over: Over, order: Order, one_search_a_pair: bool) -> None:
        """Refuse a loss of other options than those that these edges were laid out with.

        Raises:
            ValueError: they differ.
        """
        if self.over is None:
            return
        made = "either" if self.any_open else "given"
        for name, value, wanted in (
            ("over", self.over, over),
            ("order", made if self.edge_count else order, order),
            ("one search a region pair, as soft needs it,", self.one_search_a_pair, one_search_a_pair),
        ):
            if value != wanted:
                raise ValueError(
                    f"contact_maps must be edges of this loss's options, {name} = {wanted!r}, got some "
                    f"with {value!r}; another loss made them: take this loss's own edges(maps)"
                )

    @cached_property
    def both_orders(self) -> ContactEdges:
        """The same graph with, after it, every open edge once more with its two bodies exchanged.

        The copy of the n-th open edge is edge ``E + n``. Nothing is added where no edge is open.
        """
        if not self.any_open:
            return self
        open_edges = torch.nonzero(self.edge_either)[:, 0]
        copy_of_edge = torch.full_like(self.edge_either, -1, dtype=torch.int64)
        copy_of_edge[open_edges] = torch.arange(len(open_edges), device=open_edges.device) + self.edge_count
        contacts = torch.nonzero(self.edge_either[self.edge])[:, 0]
        copy_of_contact = torch.full_like(self.edge, -1)
        copy_of_contact[contacts] = torch.arange(len(contacts), device=contacts.device) + len(self)
        again = torch.nonzero(copy_of_contact[self.contact] >= 0)[:, 0]
        s, join = self.searches, torch.cat
        return ContactEdges(
            searches=RegionPairs(
                row_a=join([s.row_a, s.row_b[again]]),
                row_b=join([s.row_b, s.row_a[again]]),
                group_a=join([s.group_a, s.group_a[again]]),
                group_b=join([s.group_b, s.group_b[again]]),
                unions=s.unions,
            ),
            contact=join([self.contact, copy_of_contact[self.contact[again]]]),
            weight=join([self.weight, self.weight[contacts]]),
            edge=join([self.edge, copy_of_edge[self.edge[contacts]]]),
            edge_either=join([self.edge_either, self.edge_either[open_edges]]),
            over=self.over,
            one_search_a_pair=self.one_search_a_pair,
        )

    @cached_property
    def searched_regions(self) -> Tensor:
        """Ids of the regions that any contact names, ascending, on the CPU."""
        s = self.searches
        regions = torch.cat([s.group_a, s.group_b]) if s.unions is None else s.unions[1]
        searched: Tensor = torch.unique(regions).cpu()
        return searched

    def every_vertex(self, regions: RegionIndex) -> EveryVertex:
        """Return the columns of all vertices that the searches look from; made at the first call, then
        remembered.

        Args:
            regions: on the device of this graph.

        Raises:
            RuntimeError: in compiled code, which must find this done.
        """
        layout = vertices_of_edges(self.searches, regions, regions)
        for known, columns in self._known:
            if known is layout:
                return columns
        with to_be_kept():
            row_a, row_b = self.searches.row_a[layout.edge], self.searches.row_b[layout.edge]
            sizes = layout.offsets.diff()
            count = regions.vertex_count
            each = torch.unique(torch.where(layout.of_a, row_a, row_b) * count + layout.vertex)
            columns = EveryVertex(
                row_a,
                row_b,
                self.contact[layout.edge],
                sizes.repeat_interleave(sizes),
                each // count,
                each % count,
            )
        self._known[:] = [(layout, columns)]
        return columns

    def plan(self, regions: RegionIndex) -> EdgePlan | None:
        """For the short way of pairs of bodies (`apu_losses.geometry.eager`); made at the first call.

        None for a graph that does not have one search a contact, each from one of E bodies to one of E
        others, or that names a region without vertices, and on another device than the CPU.
        """
        for known, plan in self._planned:
            if known is regions:
                return plan
        plan = self._make_plan(regions)
        self._planned[:] = [(regions, plan)]
        return plan

    def _make_plan(self, regions: RegionIndex) -> EdgePlan | None:
        if any(x.device.type != "cpu" for x in (self.weight, regions.offsets)):
            return None
        used, offsets = self.searched_regions, regions.offsets
        each = torch.arange(len(self), device="cpu")
        if not torch.equal(self.contact, each) or not len(used) or int(used[-1]) >= len(regions):
            return None
        if int(used[0]) < 0 or bool((offsets[used + 1] == offsets[used]).any()):
            return None
        return EdgePlan.build(self.searches, self.edge, self.edge_count, regions)

    def _first_search(self) -> Tensor:
        return torch.searchsorted(self.contact, torch.arange(len(self), device=self.contact.device))


class _Columns:
    """What `ContactEdges.from_maps` fills, row by row."""

    def __init__(self) -> None:
        self.row_a: list[int] = []
        self.row_b: list[int] = []
        self.regions_a: list[tuple[int, ...]] = []
        self.regions_b: list[tuple[int, ...]] = []
        self.contact: list[int] = []
        self.weight: list[float] = []
        self.edge: list[int] = []

    def add(
        self,
        edge: int,
        row_a: int,
        row_b: int,
        regions_a: tuple[int, ...],
        regions_b: tuple[int, ...],
        weight: float,
        one_search_a_pair: bool,
    ) -> None:
        searches = (
            [((a,), (b,)) for a in regions_a for b in regions_b]
            if one_search_a_pair
            else [(regions_a, regions_b)]
        )
        for side_a, side_b in searches:
            self.row_a.append(int(row_a))
            self.row_b.append(int(row_b))
            self.regions_a.append(side_a)
            self.regions_b.append(side_b)
            self.contact.append(len(self.weight))
        self.weight.append(weight)
        self.edge.append(edge)
