"""How near the true contacts are, and which regions or parts of two bodies touch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from apu_contacts.regions.table import NUM_REGIONS, PARTS, REGIONS
from apu_losses.functional.contact import select_contacts
from apu_losses.functional.contact_edges import ContactEdges
from apu_losses.functional.rows import gather_points
from apu_losses.geometry.operators import Regions
from apu_losses.geometry.types import BackendName
from apu_losses.numerics.distances import distance2

PCC_RADII: tuple[float, ...] = tuple(round(0.05 * i, 2) for i in range(20))
"""Metres; the radii over which BUDDI averages its percentage of correct contacts."""

SIDED_PARTS: tuple[tuple[str, str], ...] = tuple((part, side) for part in PARTS for side in ("left", "right"))
"""The rows of `to_parts`: each part on the left and on the right."""


@torch.no_grad()
def contact_distances(
    vertices: Tensor, edges: ContactEdges, regions: Regions, *, backend: BackendName = "auto"
) -> tuple[Tensor, Tensor]:
    """Return the distance of each contact: smallest distance between the vertices of its two sides.

    Args:
        vertices: ``(N, V, 3)`` all bodies, metres.
        edges: contacts; of an open edge the order with the smaller sum of squared distances is measured.
        regions: the 75 regions.
        backend: of the geometry search.

    Returns:
        Distances ``(C,)`` in metres and the edge ``(C,)`` of each.
    """
    chosen = select_contacts(vertices, edges, regions, backend=backend)
    a = gather_points(vertices, chosen.row_a, chosen.vertex_a)
    b = gather_points(vertices, chosen.row_b, chosen.vertex_b)
    return torch.where(chosen.valid, distance2(a, b), torch.nan).sqrt(), chosen.edge


@torch.no_grad()
def share_within(distances: Tensor, thresholds: Sequence[float]) -> Tensor:
    """``(T,)`` share of distances ``(C,)`` that are at most each threshold, in [0, 1].

    NaN if there is no distance, or if one of them is NaN.
    """
    if distances.dim() != 1:
        raise ValueError(f"distances must have shape (C,), got {tuple(distances.shape)}")
    limits = distances.new_tensor(list(thresholds))
    share = (distances[None] <= limits[:, None]).to(distances.dtype).mean(1)
    return torch.where(distances.isnan().any(), torch.nan, share)


def pcc(distances: Tensor, owner: Tensor, count: int, radii: Sequence[float] = PCC_RADII) -> Tensor:
    """Percentage of correct contacts, as a share: of the true contacts of each item, those within a radius.

    Args:
        distances: ``(C,)`` distance of each true contact on the estimate, metres (`contact_distances`).
        owner: ``(C,)`` the item of each, 0 to ``count - 1``.
        count: number of items.
        radii: metres; BUDDI's scalar is the mean over `PCC_RADII`, its table the mean over items.

    Returns:
        ``(count, T)`` in [0, 1]; NaN for an item without true contacts or with a distance that is NaN.
    """
    if distances.dim() != 1 or distances.shape != owner.shape:
        raise ValueError(
            f"distances and owner must have shape (C,), got {tuple(distances.shape)} and {tuple(owner.shape)}"
        )
    limits = distances.new_tensor(list(radii))
    hit = (distances[:, None] <= limits).to(distances.dtype)
    hit = torch.where(distances.isnan()[:, None], torch.nan, hit)
    sums = hit.new_zeros(count, len(limits)).index_add(0, owner, hit)
    contacts = distances.new_zeros(count).index_add(0, owner, torch.ones_like(distances))
    return sums / contacts[:, None]  # 0 / 0 is NaN


class ContactScores(NamedTuple):
    """Each ``(B,)``. Precision is NaN where nothing was predicted, recall where nothing is true, F1 where
    neither is."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def contact_scores(predicted: Tensor, true: Tensor) -> ContactScores:
    """Precision, recall and F1 of contact between regions, or between parts (`to_parts`).

    Args:
        predicted, true: ``(B, R, S)`` bool.

    Raises:
        ValueError: shapes that do not agree, or values that are not bool (a map of distances has no contact
            until it is compared with a threshold, and NaN would pass for contact).
    """
    if predicted.dim() != 3 or predicted.shape != true.shape:
        raise ValueError(
            "predicted and true must have the same shape (B, R, S), "
            f"got {tuple(predicted.shape)} and {tuple(true.shape)}"
        )
    if predicted.dtype != torch.bool or true.dtype != torch.bool:
        raise ValueError(f"predicted and true must be bool, got {predicted.dtype} and {true.dtype}")
    hits = (predicted & true).sum((1, 2)).double()
    said, are = predicted.sum((1, 2)).double(), true.sum((1, 2)).double()
    return ContactScores(hits / said, hits / are, 2 * hits / (said + are))


def to_parts(contacts: Tensor) -> Tensor:
    """Contact between regions ``(B, 75, 75)`` bool as contact between sided parts ``(B, 34, 34)``.

    Each region counts for its most specific part only (`apu_contacts.regions.Region.part`), so a hand is not
    an arm as well; the one region on the midline counts for both sides. Rows: `SIDED_PARTS`.
    """
    if contacts.dim() != 3 or contacts.shape[1:] != (NUM_REGIONS, NUM_REGIONS):
        raise ValueError(f"contacts must have shape (B, 75, 75), got {tuple(contacts.shape)}")
    member = torch.tensor(_membership(), dtype=torch.float32, device=contacts.device)
    return (member @ contacts.float() @ member.T) > 0


@cache
def _membership() -> list[list[bool]]:
    return [[part == r.part and r.side in (side, "center") for r in REGIONS] for part, side in SIDED_PARTS]
