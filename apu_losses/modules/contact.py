"""What is said to touch comes together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from apu_contacts.contacts import ContactMap, Order
from apu_contacts.regions import RegionMap
from apu_losses.functional.contact import (
    ContactForm,
    ContactValues,
    Mode,
    check_regions,
    check_soft,
    contact_of_two,
    pair_contact,
    pair_contact_values,
    values_of_two,
)
from apu_losses.functional.contact_edges import (
    ContactEdges,
    Over,
    edges_of_pairs,
    maps_of_pairs,
)
from apu_losses.functional.first_look import FirstLook
from apu_losses.functional.options import check_choice
from apu_losses.geometry.topology import RegionIndex
from apu_losses.geometry.types import BackendName


class SoftContactLoss(nn.Module):
    """Pull regions together that a soft map says touch: weights are soft, the minimum distance is hard.

    Soft is the map: each contact counts by its weight. Hard is the minimum over two regions: the nearest two
    vertices decide it, and they alone get a gradient, unless ``soft`` says otherwise. As a function:
    `apu_losses.functional.soft_contact`.

    ::

        contact = SoftContactLoss(RegionMap.load("free"))
        loss = loss + 1e4 * contact(verts_a, verts_b, contact_map).sum()

    1e4 makes it squared centimetres, the scale that the paper's weights are made for.

    Args:
        regions: the 75 regions of the mesh topology.
        regions_b: of the second mesh, where it is another topology (`apu_losses.functional.soft_contact`).
        over: ``"parts"`` (one minimum a part contact, "somewhere on the arm, somewhere on the back"; a map
            without groups has one a region pair) or ``"pairs"`` (each region pair counts, the formula as the
            paper prints it).
        mode, robust, soft: see `apu_losses.functional.ContactForm`.
        order: ``"given"``, or ``"either"`` for the smaller of both person orders.
        template: ``(V, 3)`` the body at rest; speeds up the search, and compiled code needs it.
        backend: of the geometry search.

    Raises:
        ValueError: options that do not exist or contradict each other.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses import SoftContactLoss
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="10 cm a vertex")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = 0.1 * torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> SoftContactLoss(regions)(verts_a, verts_b, ContactMap([(0, 0), (1, 2)], [1.0, 0.5]))
        tensor([0.1400])
    """

    def __init__(
        self,
        regions: RegionMap | RegionIndex,
        *,
        regions_b: RegionMap | RegionIndex | None = None,
        over: Over = "parts",
        mode: Mode = "min",
        robust: float | None = None,
        soft: float | None = None,
        order: Order = "given",
        template: ArrayLike | Tensor | None = None,
        backend: BackendName = "auto",
    ) -> None:
        super().__init__()
        check_choice("over", over, Over)
        check_choice("order", order, Order)
        self.form = ContactForm(mode, robust, soft)
        check_soft(soft, over)
        check_regions(regions)
        if template is not None and isinstance(regions, RegionMap):
            regions = RegionIndex.build(regions, regions.vertex_count, template)
        if regions_b is not None:
            check_regions(regions_b)
        self.regions = regions
        self.regions_b = regions_b
        self.over: Over = over
        self.order: Order = order
        self.backend: BackendName = backend
        self._laid_out: list[tuple[list[ContactMap], ContactEdges]] = []
        self._first_look = FirstLook()

    def edges(self, contact_maps: ContactMap | Sequence[ContactMap], pairs: int = 1) -> ContactEdges:
        """Return maps of a batch of ``pairs`` pairs laid out as `forward` takes them, with the options of
        this loss.

        One map is that of every pair; of a list there is one a pair, whatever ``pairs`` is. A data loader can
        do this, and compiled code needs it done.
        """
        maps = maps_of_pairs(contact_maps, pairs if isinstance(contact_maps, ContactMap) else None)
        edges = edges_of_pairs(
            maps,
            over=self.over,
            order=self.order,
            one_search_a_pair=self.form.soft is not None,
            dtype=torch.float64,
        )
        if self.form.mode == "chamfer_quartic" and isinstance(self.regions, RegionIndex):
            edges.both_orders.every_vertex(self.regions)
        return edges

    def forward(
        self,
        verts_a: Tensor,
        verts_b: Tensor,
        contact_maps: ContactMap | Sequence[ContactMap] | ContactEdges,
    ) -> Tensor:
        """``(B, V, 3)`` twice and one map, one a pair, or their `edges`, to ``(B,)`` squared metres."""
        self._first_look.at(verts_a=verts_a, verts_b=verts_b)
        if self.regions_b is not None:
            return contact_of_two(
                verts_a,
                verts_b,
                self._maps_of_two(contact_maps, len(verts_a)),
                self.regions,
                self.regions_b,
                self.form,
                over=self.over,
                order=self.order,
                backend=self.backend,
            )
        edges = self._edges_of(contact_maps, len(verts_a)).to(verts_a.device)
        return pair_contact(verts_a, verts_b, edges, self.regions, self.form, backend=self.backend)

    def values(
        self,
        verts_a: Tensor,
        verts_b: Tensor,
        contact_maps: ContactMap | Sequence[ContactMap] | ContactEdges,
    ) -> ContactValues:
        """Return the loss before it is summed, arguments as of `forward`: one value a contact, its weight,
        offsets.

        For weights that are learned, or for a log that says which contact is open::

            found = contact.values(verts_a, verts_b, contact_maps)
            loss = found.per_pair(found.weight * trust).sum()    # trust (C,) of your network
        """
        self._first_look.at(verts_a=verts_a, verts_b=verts_b)
        if self.regions_b is not None:
            if self.order == "either":
                raise ValueError("order: values of two topologies need order='given', got 'either'")
            return values_of_two(
                verts_a,
                verts_b,
                self._maps_of_two(contact_maps, len(verts_a)),
                self.regions,
                self.regions_b,
                self.form,
                over=self.over,
                backend=self.backend,
            )
        edges = self._edges_of(contact_maps, len(verts_a)).to(verts_a.device)
        return pair_contact_values(verts_a, verts_b, edges, self.regions, self.form, backend=self.backend)

    def _maps_of_two(
        self, contact_maps: ContactMap | Sequence[ContactMap] | ContactEdges, pairs: int
    ) -> list[ContactMap]:
        if isinstance(contact_maps, ContactEdges):
            raise TypeError(
                "contact_maps: two topologies take contact maps, got edges that are laid out for one"
            )
        return maps_of_pairs(contact_maps, pairs)

    def _edges_of(
        self, contact_maps: ContactMap | Sequence[ContactMap] | ContactEdges, pairs: int
    ) -> ContactEdges:
        if isinstance(contact_maps, ContactEdges):
            contact_maps.check_made_for(
                over=self.over, order=self.order, one_search_a_pair=self.form.soft is not None
            )
            return contact_maps
        maps = maps_of_pairs(contact_maps, pairs)
        # Maps are immutable: the same objects mean the same graph, which costs more to lay out than to
        # search.
        for known, edges in self._laid_out:
            if len(maps) == len(known) and all(a is b for a, b in zip(maps, known, strict=True)):
                return edges
        edges = self.edges(maps)
        self._laid_out[:] = [(maps, edges)]
        return edges

    def __getstate__(self) -> dict[str, Any]:
        """Without the maps of the last call: a copy gets others, and they may lie on another device."""
        return {**self.__dict__, "_laid_out": []}

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"over={self.over!r}, order={self.order!r}, {self.form}"
