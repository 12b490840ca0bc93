"""Which region of one person touches which region of the other, and how much each contact counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.reading import parse_json
from apu_contacts.regions.table import NUM_REGIONS, PART_SIDES, PARTS, REGIONS, part_regions
from apu_contacts.vertex_contacts import (
    regions_of_vertex_labels,
    regions_of_vertex_pairs,
    vertex_labels_of_regions,
    vertex_weights_of_regions,
)

if TYPE_CHECKING:
    from apu_contacts.regions.region_map import RegionMap

SCHEMA = "apu-contact-map/1"
Contact = TypeVar("Contact", bound="PartContact")
Order = Literal["given", "either"]
"""Which two people contacts are of: a and b as given, or it stays open which of the two is a."""


@dataclass(frozen=True)
class PartContact:
    """One body part of person a touches one body part of person b.

    Args:
        part_a: part of person a, one of ``apu_contacts.PARTS``.
        side_a: ``"left"``, ``"right"``, ``"both"`` (each of the two sides touches) or ``"none"`` (the side
            is not known, or does not matter: somewhere on the part).
        part_b: part of person b.
        side_b: side of ``part_b``.
        confidence: belief in the contact, in [0, 1].
        weight: W_ij of the paper's soft contact map (section 3.1), where it has been computed; else the
            confidence stands in for it.
        margin: by how much the chosen sides beat the next best, where sides have been chosen.
        alternatives_a: further parts of person a that may be meant instead ("hand or forearm"). It stays one
            contact: somewhere on any of them.
        alternatives_b: the same of person b.

    Raises:
        ValueError: on an unknown part or side, a confidence outside [0, 1], a weight that is negative or not
            finite.

    Example:
        >>> from apu_contacts import PartContact
        >>> contact = PartContact("hand", "left", "back", "none", confidence=0.8)
        >>> contact.effective_weight, contact.transposed().part_a
        (0.8, 'back')
    """

    part_a: str
    side_a: str
    part_b: str
    side_b: str
    confidence: float = 1.0
    weight: float | None = None
    margin: float | None = None
    alternatives_a: tuple[str, ...] = ()
    alternatives_b: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("part_a", "part_b"):
            if getattr(self, name) not in PARTS:
                raise ValueError(f"{name} must be one of {', '.join(PARTS)}, got {getattr(self, name)!r}")
        for name in ("alternatives_a", "alternatives_b"):
            for part in getattr(self, name):
                if part not in PARTS:
                    raise ValueError(f"{name} must hold parts out of {', '.join(PARTS)}, got {part!r}")
        for name in ("side_a", "side_b"):
            if getattr(self, name) not in PART_SIDES:
                raise ValueError(
                    f"{name} must be one of {', '.join(PART_SIDES)}, got {getattr(self, name)!r}"
                )
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must lie in [0, 1], got {self.confidence}; is this a percentage?")
        if self.weight is not None and not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight must be finite and at least 0, got {self.weight}")

    @property
    def effective_weight(self) -> float:
        """``weight`` where it is given, else ``confidence``."""
        return self.confidence if self.weight is None else self.weight

    def transposed(self: Contact) -> Contact:
        """Return the same contact with the two people exchanged; of the same class, with all that it
        holds.
        """
        return replace(self, **self._exchanged())

    def _exchanged(self) -> dict[str, Any]:
        """Return the fields that are others with the people exchanged; a subclass that has more of them adds
        its own.
        """
        return {
            "part_a": self.part_b,
            "side_a": self.side_b,
            "part_b": self.part_a,
            "side_b": self.side_a,
            "alternatives_a": self.alternatives_b,
            "alternatives_b": self.alternatives_a,
        }


class ContactGroup(NamedTuple):
    """Somewhere on ``regions_a`` of person a touches somewhere on ``regions_b`` of person b.

    Example:
        >>> from apu_contacts import ContactMap
        >>> ContactMap([(3, 50)], [0.5]).groups()[0].regions_b
        (50,)
    """

    regions_a: tuple[int, ...]
    regions_b: tuple[int, ...]
    weight: float
    name: str


@dataclass(frozen=True, eq=False, init=False, repr=False)
class ContactMap:
    """Region pairs in contact with their weights: a sparse form of the paper's ``W * C``, 75 x 75.

    A pair occurs once per group. Pairs that are given twice in one group are merged into the first, with the
    larger weight: the paper's C is binary, so that saying a contact twice does not make it count twice. The
    same pair may stand in several groups ("hand on arm" and "hand on elbow" share pairs); `merged` gives the
    map without groups.

    Args:
        pairs: ``(K, 2)`` region ids, column 0 of person a and column 1 of person b.
        weights: ``(K,)`` finite, at least 0; ones if None.
        group: ``(K,)`` the part contact that each pair came from, 0 to G - 1; None where each pair stands
            for itself.
        group_names: one name per group, for people; None if there are none.

    Raises:
        ValueError: on shapes that do not agree, region ids outside 0 to 74 (which are named), weights that
            are negative or not finite, group numbers with gaps.

    Example:
        >>> from apu_contacts import ContactMap, PartContact
        >>> ContactMap([(3, 50), (4, 50)], [1.0, 0.5])
        ContactMap(2 region pairs)
        >>> hand_on_back = ContactMap.from_parts([PartContact("hand", "left", "back", "none")])
        >>> hand_on_back, hand_on_back.groups()[0].name
        (ContactMap(32 region pairs, 1 groups), 'left hand - back')
        >>> ContactMap.from_json(hand_on_back.to_json()) == hand_on_back
        True
    """

    pairs: NDArray[np.int64]
    weights: NDArray[np.float64]
    group: NDArray[np.int64] | None = None
    group_names: tuple[str, ...] | None = None

    def __init__(
        self,
        pairs: ArrayLike,
        weights: ArrayLike | None = None,
        group: ArrayLike | None = None,
        group_names: Sequence[str] | None = None,
    ) -> None:
        pair_ids = _as_ids("pairs", pairs, NUM_REGIONS)
        if pair_ids.size == 0:
            pair_ids = pair_ids.reshape(0, 2)
        if pair_ids.ndim != 2 or pair_ids.shape[1] != 2:
            raise ValueError(f"pairs must have shape (K, 2), got {pair_ids.shape}")
        count = len(pair_ids)
        values = np.ones(count) if weights is None else np.array(weights, dtype=np.float64)
        if values.shape != (count,):
            raise ValueError(
                f"weights must have shape ({count},) as there are {count} pairs, got {values.shape}"
            )
        if not (np.isfinite(values).all() and (values >= 0).all()):
            bad = int(np.flatnonzero(~(np.isfinite(values) & (values >= 0)))[0])
            raise ValueError(
                f"weights must be finite and at least 0, got {values[bad]} for the pair {pair_ids[bad]}"
            )
        groups = None if group is None else _as_ids("group", group, None)
        if groups is not None and groups.shape != (count,):
            raise ValueError(
                f"group must have shape ({count},) as there are {count} pairs, got {groups.shape}"
            )
        if groups is not None and not np.array_equal(
            np.unique(groups), np.arange(groups.max(initial=-1) + 1)
        ):
            raise ValueError(
                f"group must use every number from 0 to its largest, got {np.unique(groups).tolist()}"
            )
        names = None if group_names is None else tuple(str(name) for name in group_names)
        if names is not None and (groups is None or len(names) != groups.max(initial=-1) + 1):
            wanted = "no groups" if groups is None else f"{groups.max(initial=-1) + 1} groups"
            raise ValueError(f"group_names must hold one name per group, got {len(names)} names for {wanted}")
        keep, values = _merge(pair_ids, values, groups)
        object.__setattr__(self, "pairs", _frozen(pair_ids[keep]))
        object.__setattr__(self, "weights", _frozen(values))
        object.__setattr__(self, "group", None if groups is None else _frozen(groups[keep]))
        object.__setattr__(self, "group_names", names)

    def __len__(self) -> int:
        return len(self.pairs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As immutable after a pickle, a copy or the worker of a data loader as before."""
        for name, value in state.items():
            object.__setattr__(self, name, _frozen(value) if isinstance(value, np.ndarray) else value)

    def __eq__(self, other: object) -> bool:
        """Equal pairs, weights, groups and names, whatever the order of the pairs."""
        if not isinstance(other, ContactMap):
            return NotImplemented
        return self._canonical() == other._canonical()

    def __repr__(self) -> str:
        groups = "" if self.group is None else f", {len(self.groups())} groups"
        return f"ContactMap({len(self)} region pairs{groups})"

    def _canonical(self) -> tuple[object, ...]:
        group = [-1] * len(self) if self.group is None else self.group.tolist()
        rows = sorted(zip(group, self.pairs.tolist(), self.weights.tolist(), strict=True))
        return self.group is None, self.group_names, rows

    @classmethod
    def empty(cls) -> ContactMap:
        """Return a map that says nothing touches."""
        return cls(np.zeros((0, 2), dtype=np.int64))

    @classmethod
    def from_parts(cls, contacts: Iterable[PartContact], alternatives: Iterable[str] = ()) -> ContactMap:
        """Expand part contacts to region pairs, one group per contact of one side with one side.

        ``"left"`` and ``"right"`` give the regions of that side and ``"none"`` those of both sides as one
        group. ``"both"`` says that each of the two sides touches and gives one group per
        side. Where both people's sides are ``"both"`` it is not said which side meets which: each of the
        four sides gets a group against the other person's whole part.

        Args:
            contacts: part contacts; the weight of each is its `PartContact.effective_weight`.
            alternatives: named alternative meanings of parts, see ``apu_contacts.regions.PART_ALTERNATIVES``.

        Raises:
            ValueError: on an unknown alternative.
        """
        chosen = tuple(alternatives)
        pairs: list[NDArray[np.int64]] = []
        weights: list[float] = []
        names: list[str] = []
        for contact in contacts:
            for side_a, side_b in _side_groups(contact.side_a, contact.side_b):
                parts_a = (contact.part_a, *contact.alternatives_a)
                parts_b = (contact.part_b, *contact.alternatives_b)
                ids_a = sorted({r for part in parts_a for r in part_regions(part, side_a, chosen)})
                ids_b = sorted({r for part in parts_b for r in part_regions(part, side_b, chosen)})
                pairs.append(np.array([(a, b) for a in ids_a for b in ids_b], dtype=np.int64))
                weights.append(contact.effective_weight)
                names.append(
                    f"{_part_name('/'.join(parts_a), side_a)} - {_part_name('/'.join(parts_b), side_b)}"
                )
        if not pairs:
            return cls.empty()
        sizes = [len(each) for each in pairs]
        return cls(
            np.concatenate(pairs), np.repeat(weights, sizes), np.repeat(np.arange(len(pairs)), sizes), names
        )

    @classmethod
    def from_dense(cls, dense: ArrayLike) -> ContactMap:
        """Read a ``(75, 75)`` matrix of weights (rows: person a); zeros are no contact.

        Raises:
            ValueError: on another shape, or entries that are negative or not finite.
        """
        matrix = np.asarray(dense, dtype=np.float64)
        if matrix.shape != (NUM_REGIONS, NUM_REGIONS):
            raise ValueError(f"dense must have shape ({NUM_REGIONS}, {NUM_REGIONS}), got {matrix.shape}")
        rows = np.argwhere(matrix != 0)
        return cls(rows, matrix[rows[:, 0], rows[:, 1]])

    def to_dense(self) -> NDArray[np.float64]:
        """``(75, 75)`` weights, 0 for no contact; a pair of several groups has its largest weight."""
        dense = np.zeros((NUM_REGIONS, NUM_REGIONS))
        np.maximum.at(dense, (self.pairs[:, 0], self.pairs[:, 1]), self.weights)
        return dense

    @classmethod
    def from_vertex_pairs(
        cls, pairs: ArrayLike, regions: RegionMap, regions_b: RegionMap | None = None
    ) -> ContactMap:
        """Make a map of vertices that touch vertices: each pair of their regions, weight 1, without groups.

        A vertex on a border, which several regions share, stands for each of them. The vertices themselves
        are not kept: all vertices of the regions count in a loss.

        Args:
            pairs: ``(K, 2)`` vertex ids, of person a and of person b.
            regions: of the mesh of person a.
            regions_b: of that of person b; the same if None.

        Raises:
            ValueError: another shape, ids of another topology, or vertices that lie in no region.

        Example:
            >>> import numpy as np
            >>> from apu_contacts import ContactMap, RegionMap
            >>> regions = RegionMap.from_labels(
            ...     np.arange(150) // 2, topology="toy", provenance="two vertices a region"
            ... )
            >>> ContactMap.from_vertex_pairs([(7, 100), (6, 101), (8, 100)], regions).pairs.tolist()
            [[3, 50], [4, 50]]
        """
        found = regions_of_vertex_pairs(pairs, regions, regions_b)
        return cls(found) if len(found) else cls.empty()

    @classmethod
    def from_vertex_labels(
        cls,
        labels_a: ArrayLike,
        labels_b: ArrayLike,
        regions: RegionMap,
        regions_b: RegionMap | None = None,
    ) -> ContactMap:
        """Make a map of per-vertex labels, as DECO and DAMON have them, of two people who touch each other.

        Labels say of each vertex whether it touches, not what. So each labelled region of either person gets
        a group: it touches somewhere on the labelled regions of the other. With ``over="parts"`` that is what
        the labels say and no more. Where the meshes are known, ``apu_losses.what_touches`` says more.

        For what comes of it, and `to_vertex_labels`, of one region map:

        - ``to_vertex_labels`` of the result is true wherever the labels were: a region is labelled whole.
        - Where no two regions share a vertex, doing both once more changes nothing, and the regions of a map
          are the regions of the labels that it gives.

        Args:
            labels_a, labels_b: ``(V,)`` True, or 1, for each vertex that touches the other person.
            regions: of the mesh of person a.
            regions_b: of that of person b; the same if None.

        Raises:
            ValueError: another shape, probabilities, labels of one person alone, or vertices that lie in no
                region.

        Example:
            >>> import numpy as np
            >>> from apu_contacts import ContactMap, RegionMap
            >>> regions = RegionMap.from_labels(
            ...     np.arange(150) // 2, topology="toy", provenance="two vertices a region"
            ... )
            >>> labels_a, labels_b = np.zeros(150, bool), np.zeros(150, bool)
            >>> labels_a[[6, 8]] = labels_b[100] = True
            >>> found = ContactMap.from_vertex_labels(labels_a, labels_b, regions)
            >>> [(group.regions_a, group.regions_b) for group in found.groups()]
            [((3,), (50,)), ((4,), (50,)), ((3, 4), (50,))]
            >>> [np.flatnonzero(labels).tolist() for labels in found.to_vertex_labels(regions)]
            [[6, 7, 8, 9], [100, 101]]
        """
        pairs, numbers, names = regions_of_vertex_labels(labels_a, labels_b, regions, regions_b)
        return cls(pairs, None, numbers, names) if len(pairs) else cls.empty()

    def to_vertex_labels(
        self, regions: RegionMap, regions_b: RegionMap | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Two arrays ``(V,)``: the vertices of either person that lie in a region of the map.

        Args:
            regions: of the mesh of person a.
            regions_b: of that of person b; the same if None.

        Example:
            >>> from apu_contacts import ContactMap, RegionMap
            >>> regions = RegionMap.load("free")
            >>> labels_a, labels_b = ContactMap([(3, 50)]).to_vertex_labels(regions)
            >>> bool(labels_a.sum() == regions.sizes[3]), bool(labels_b.sum() == regions.sizes[50])
            (True, True)
        """
        return vertex_labels_of_regions(self.pairs, regions, regions_b)

    def to_vertex_weights(
        self, regions: RegionMap, regions_b: RegionMap | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two arrays ``(V,)``: the largest weight of a contact of each vertex's regions, else 0.

        Soft targets for whoever trains a head that says of each vertex whether it touches; those of
        `to_vertex_labels` are hard. A region is all or nothing: where the meshes are known,
        ``apu_losses.what_touches`` has the vertices themselves.

        Args:
            regions: of the mesh of person a.
            regions_b: of that of person b; the same if None.

        Example:
            >>> from apu_contacts import ContactMap, RegionMap
            >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="one vertex each")
            >>> weights_a, weights_b = ContactMap([(3, 50), (3, 51)], [0.5, 0.75]).to_vertex_weights(regions)
            >>> float(weights_a[3]), weights_b[[49, 50, 51]].tolist()
            (0.75, [0.0, 0.5, 0.75])
        """
        return vertex_weights_of_regions(self.pairs, self.weights, regions, regions_b)

    def merged(self) -> ContactMap:
        """Return the map without groups, for ``over="pairs"``: each pair once, with its largest weight."""
        return ContactMap(self.pairs, self.weights)

    def transposed(self) -> ContactMap:
        """Return the map with the two people exchanged."""
        names = self.group_names
        if names is not None:
            names = tuple(" - ".join(reversed(name.split(" - "))) for name in names)
        return ContactMap(self.pairs[:, ::-1], self.weights, self.group, names)

    def groups(self) -> list[ContactGroup]:
        """Each group as the union of its regions on either person: ``over="parts"``; weight is its largest.

        A map without groups has one group per pair.
        """
        labels = np.arange(len(self)) if self.group is None else self.group
        found: list[ContactGroup] = []
        for g in range(int(labels.max(initial=-1)) + 1):
            rows = labels == g
            ids_a, ids_b = (tuple(np.unique(self.pairs[rows, person]).tolist()) for person in (0, 1))
            name = (
                f"{_regions_name(ids_a)} - {_regions_name(ids_b)}"
                if self.group_names is None
                else self.group_names[g]
            )
            found.append(ContactGroup(ids_a, ids_b, float(self.weights[rows].max()), name))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that ``json.dump`` writes and `from_json` reads back exactly."""
        return {
            "schema": SCHEMA,
            "pairs": self.pairs.tolist(),
            "weights": self.weights.tolist(),
            "group": None if self.group is None else self.group.tolist(),
            "group_names": None if self.group_names is None else list(self.group_names),
        }

    @classmethod
    def from_json(cls, data: str | Mapping[str, Any]) -> ContactMap:
        """Read what `to_json` gave, as a dictionary or as JSON text.

        Raises:
            ValueError: on text that is no JSON, another schema, missing or unknown keys, and whatever the
                constructor refuses.
        """
        if isinstance(data, str):
            data = parse_json(data, "contact map")
        if not isinstance(data, Mapping):
            raise ValueError(f"contact map must be a JSON object, got {type(data).__name__}")
        if data.get("schema") != SCHEMA:
            raise ValueError(f"contact map: schema must be {SCHEMA!r}, got {data.get('schema')!r}")
        known = {"schema", "pairs", "weights", "group", "group_names"}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"contact map: unknown keys {unknown}, expected {sorted(known)}")
        if "pairs" not in data:
            raise ValueError("contact map: the key 'pairs' is missing")
        try:
            return cls(data["pairs"], data.get("weights"), data.get("group"), data.get("group_names"))
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"contact map: {error}") from None


def _side_groups(side_a: str, side_b: str) -> list[tuple[str, str]]:
    if side_a == side_b == "both":
        return [("left", "none"), ("right", "none"), ("none", "left"), ("none", "right")]
    sides_a = ("left", "right") if side_a == "both" else (side_a,)
    sides_b = ("left", "right") if side_b == "both" else (side_b,)
    return [(a, b) for a in sides_a for b in sides_b]


def _part_name(part: str, side: str) -> str:
    return part if side == "none" else f"{side} {part}"


def _regions_name(ids: Sequence[int]) -> str:
    return " + ".join(REGIONS[i].name for i in ids)


def _as_ids(name: str, values: ArrayLike, limit: int | None) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype == np.bool_ or not np.issubdtype(array.dtype, np.number):
        raise ValueError(f"{name} must hold whole numbers, got {array.dtype}")
    ids = array.astype(np.int64)
    if not (ids == array).all():
        raise ValueError(f"{name} must hold whole numbers, got {array[ids != array][0]}")
    bad = ids[(ids < 0) | (ids >= (limit if limit is not None else np.iinfo(np.int64).max))]
    if bad.size:
        hint = f"lie in 0 to {limit - 1}" if limit is not None else "be at least 0"
        raise ValueError(
            f"{name} must {hint}, got {np.unique(bad).tolist()[:10]}; are the ids 1-based, or of vertices?"
        )
    return ids


def _merge(
    pairs: NDArray[np.int64], weights: NDArray[np.float64], group: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows to keep (first occurrences, in order) and their weights (the largest of the equal rows)."""
    labels = np.zeros(len(pairs), dtype=np.int64) if group is None else group
    keys = (labels * NUM_REGIONS + pairs[:, 0]) * NUM_REGIONS + pairs[:, 1]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    largest = np.zeros(len(first))
    np.maximum.at(largest, inverse, weights)
    order = np.argsort(first)
    return first[order], largest[order]


def _frozen(array: Any) -> Any:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array
