"""Contacts said of vertices (labels as DECO and DAMON have them, or vertex pairs) in regions, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.regions.table import NUM_REGIONS, REGIONS

if TYPE_CHECKING:
    from apu_contacts.regions.region_map import RegionMap

Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]


def regions_of_vertex_pairs(pairs: ArrayLike, regions: RegionMap, regions_b: RegionMap | None = None) -> Ids:
    """``(P, 2)`` the pairs of regions, see `ContactMap.from_vertex_pairs`."""
    second = regions if regions_b is None else regions_b
    ids = np.asarray(pairs)
    if ids.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if ids.ndim != 2 or ids.shape[1] != 2 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"pairs must be whole numbers of shape (K, 2), a vertex of a and one of b, got {ids.dtype} of "
            f"shape {ids.shape}"
        )
    sides = []
    for column, (name, rmap) in enumerate((("a", regions), ("b", second))):
        bad = ids[(ids[:, column] < 0) | (ids[:, column] >= rmap.vertex_count), column]
        if bad.size:
            raise ValueError(
                f"pairs must be vertices of person {name} in 0 to {rmap.vertex_count - 1}, got "
                f"{np.unique(bad)[:5].tolist()}; is the region map ({rmap.topology!r}) of another topology?"
            )
        sides.append(_membership(rmap)[:, ids[:, column]])
        _refuse_unassigned(f"pairs[:, {column}]", np.asarray(sides[-1].any(0)), ids[:, column], rmap)
    found = sides[0].astype(np.int64) @ sides[1].T.astype(np.int64)
    return np.argwhere(found > 0)


def regions_of_vertex_labels(
    labels_a: ArrayLike, labels_b: ArrayLike, regions: RegionMap, regions_b: RegionMap | None = None
) -> tuple[Ids, Ids, list[str]]:
    """``(P, 2)`` pairs of regions, ``(P,)`` the group of each, and the groups' names.

    See `ContactMap.from_vertex_labels`.
    """
    second = regions if regions_b is None else regions_b
    ids_a, ids_b = _labelled("labels_a", labels_a, regions), _labelled("labels_b", labels_b, second)
    if not len(ids_a) and not len(ids_b):
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.int64), []
    if not len(ids_a) or not len(ids_b):
        lonely, other = ("labels_a", "labels_b") if len(ids_a) else ("labels_b", "labels_a")
        raise ValueError(
            f"{lonely}, {other} must be labels of two people who touch each other, got none in {other}; "
            "contact with a floor or a chair is no contact of two people"
        )
    groups: list[tuple[ArrayLike, ArrayLike, str]] = [
        ([r], ids_b, f"{REGIONS[r].name} - anywhere labelled") for r in ids_a.tolist()
    ]
    groups += [(ids_a, [r], f"anywhere labelled - {REGIONS[r].name}") for r in ids_b.tolist()]
    pairs = [
        np.stack(np.meshgrid(np.asarray(a), np.asarray(b), indexing="ij"), -1).reshape(-1, 2)
        for a, b, _ in groups
    ]
    numbers = np.repeat(np.arange(len(groups)), [len(each) for each in pairs])
    return np.concatenate(pairs), numbers, [name for _, _, name in groups]


def vertex_labels_of_regions(
    pairs: Ids, regions: RegionMap, regions_b: RegionMap | None = None
) -> tuple[Bools, Bools]:
    """``(V,)`` of either person from ``(P, 2)`` pairs of regions, see `ContactMap.to_vertex_labels`."""
    labels = []
    for column, rmap in enumerate((regions, regions if regions_b is None else regions_b)):
        mask = np.zeros(rmap.vertex_count, dtype=np.bool_)
        mask[rmap.union(np.unique(pairs[:, column]).tolist())] = True
        labels.append(mask)
    return labels[0], labels[1]


def vertex_weights_of_regions(
    pairs: Ids, weights: NDArray[np.float64], regions: RegionMap, regions_b: RegionMap | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(V,)`` of either person from ``(P, 2)`` pairs and weights, see `ContactMap.to_vertex_weights`."""
    found = []
    for column, rmap in enumerate((regions, regions if regions_b is None else regions_b)):
        of_region = np.zeros(NUM_REGIONS)
        np.maximum.at(of_region, pairs[:, column], weights)
        each = np.zeros(rmap.vertex_count)
        np.maximum.at(each, rmap.vertex_ids, np.repeat(of_region, rmap.sizes))
        found.append(each)
    return found[0], found[1]


def _labelled(name: str, labels: ArrayLike, regions: RegionMap) -> Ids:
    """Regions that have a labelled vertex, ascending."""
    mask = np.asarray(labels)
    if mask.shape != (regions.vertex_count,):
        raise ValueError(
            f"{name} must have one label for each of the {regions.vertex_count} vertices of "
            f"{regions.topology!r}, got shape {mask.shape}; "
            "are these vertex ids, or labels of another topology?"
        )
    if mask.dtype != np.bool_:
        if mask.dtype.kind not in "iuf" or not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"{name} must be True and False (or 1 and 0), got {mask.dtype} from {mask.min()} to "
                f"{mask.max()}; probabilities need a threshold: labels > 0.5"
            )
        mask = mask.astype(np.bool_)
    member = _membership(regions)
    _refuse_unassigned(name, np.asarray(member[:, mask].any(0)), np.flatnonzero(mask), regions)
    return np.flatnonzero(member[:, mask].any(1))


def _membership(regions: RegionMap) -> Bools:
    """``(75, V)`` which vertices a region has."""
    member = np.zeros((NUM_REGIONS, regions.vertex_count), dtype=np.bool_)
    member[np.repeat(np.arange(NUM_REGIONS), regions.sizes), regions.vertex_ids] = True
    return member


def _refuse_unassigned(name: str, assigned: Bools, vertices: Ids, regions: RegionMap) -> None:
    """Return a contact of a vertex in no region would be lost without a word."""
    if not assigned.all():
        lost = np.unique(vertices[~assigned])
        raise ValueError(
            f"{name}: {len(lost)} of the vertices ({lost[:5].tolist()}, ...) lie in no region of "
            f"{regions.topology!r}, and their contact would be lost; leave them out: "
            "regions.labels() is -1 there"
        )
