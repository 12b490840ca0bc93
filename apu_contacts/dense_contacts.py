"""Two people's per-vertex contacts matched: which labelled region of one touches which of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from apu_contacts.contacts import ContactMap
from apu_contacts.regions.table import NUM_REGIONS, REGIONS, part_regions

if TYPE_CHECKING:
    from apu_contacts.regions.region_map import RegionMap

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

_ROUNDS = 12
"""Of the search for the shift; on synthetic scenes it stands still after four to eight."""
_SOFT = 0.03
"""Metres; a match this far apart counts a quarter in the shift, so that a floor's soles do not pull it."""
_CLOSE = 0.02
"""Metres between vertices of two bodies that touch, with what a mesh's grain adds."""
_LIKELY, _FARTHEST = 0.5, 1.5
"""Metres that an estimator places two people wrong to each other: usually, and at most."""
_FEET = list(part_regions("foot"))
_ENOUGH = 150
"""Vertices of a person by which shifts are told apart."""
_VOTES = 0.1
"""A partner has at least this share of a region's votes: the rim of a patch always grazes its neighbours."""


@dataclass(frozen=True, eq=False)
class DenseMatch:
    """What `match_dense_contacts` found.

    Attributes:
        contacts: region pairs, grouped by parts as answers are: "somewhere on the left hand touches somewhere
            on the back". Each region of it is labelled. The weight is how likely both sides touch.
        matched_a, matched_b: ``(V,)`` labelled vertices whose region has a partner: those a vertex-level term
            may pull together.
        alone_a, alone_b: labelled regions without a partner in reach: a floor, a chair, the own body, or a
            mistake.
        unsupported: what the answers state and no labels support, as they stated it.
        shift: ``(3,)`` metres, by which b was moved for the matching alone.
        gap: metres between matched vertices after that, the median; NaN where nothing matched.

    Example:
        >>> from apu_contacts import DenseMatch
        >>> [name for name in DenseMatch.__dataclass_fields__ if name.startswith("alone")]
        ['alone_a', 'alone_b']
    """

    contacts: ContactMap
    matched_a: Bools
    matched_b: Bools
    alone_a: tuple[int, ...]
    alone_b: tuple[int, ...]
    unsupported: ContactMap
    shift: Floats
    gap: float

    def __str__(self) -> str:
        lines = [f"{group.name} ({group.weight:.2f})" for group in self.contacts.groups()]
        lines = lines or ["no labelled region of one is near a labelled region of the other"]
        for name, ids in (("a", self.alone_a), ("b", self.alone_b)):
            if ids:
                parts = dict.fromkeys(_words(*_part(i)) for i in ids)
                lines.append(f"alone on {name}: {', '.join(parts)}")
        if len(self.unsupported):
            names = ", ".join(group.name for group in self.unsupported.groups())
            lines.append(f"stated, but not labelled: {names}")
        return "\n".join(lines)


def match_dense_contacts(
    contacts_a: ArrayLike,
    contacts_b: ArrayLike,
    vertices_a: ArrayLike,
    vertices_b: ArrayLike,
    regions: RegionMap,
    regions_b: RegionMap | None = None,
    *,
    answers: ContactMap | None = None,
    threshold: float = 0.5,
    reach: float = 0.25,
    least: float = 0.05,
    align: bool = True,
) -> DenseMatch:
    """Say what touches what where each person's labels say only that they touch.

    Heads such as DECO's look at one person: they say of each vertex whether it touches, not what, and they
    label the soles on the floor as they label the hand on a shoulder. Two people's labels are matched by
    where these vertices are: patches that touch lie on each other. An estimator places two people up to half
    a metre wrong in depth, so b is first moved to where the labels of both fit best (``align``); nothing but
    the matching sees that. Where ``answers`` pair two labelled regions, their vertices look for partners
    there alone.

    No contact appears that nobody stated: each region of the map is labelled, on both sides.

    Args:
        contacts_a, contacts_b: ``(V,)`` and ``(V',)`` probabilities or labels of the vertices.
        vertices_a, vertices_b: ``(V, 3)`` and ``(V', 3)`` both bodies as an estimator placed them in one
            frame, metres.
        regions: the 75 regions of the mesh of a.
        regions_b: of that of b; the same topology if None. The two may be of different bodies.
        answers: what was said to touch, a's region first.
        threshold: probabilities from here on are labels. InteractVLM takes 0.3 for people.
        reach: metres, after the shift; labels farther apart do not match. On twenty development scenes 0.25
            found more of the true pairs than 0.04 (35 against 25 %) and named more wrong ones.
        least: a region with a smaller share of labelled vertices is the rim of its neighbour's patch, and is
            left out where its neighbours have more.
        align: move b first, as said.

    Raises:
        ValueError: what is no probability, of another length than the mesh or the region map, or not finite.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import RegionMap, match_dense_contacts
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex 10 cm")
        >>> row = np.stack([0.1 * np.arange(75.0), np.zeros(75), np.zeros(75)], 1)
        >>> labels_a, labels_b = np.zeros(75), np.zeros(75)
        >>> labels_a[[3, 70]], labels_b[50] = 0.9, 0.8
        >>> found = match_dense_contacts(labels_a, labels_b, row, row - [4.6, 0.1, 0], regions)
        >>> found.contacts.pairs.tolist(), found.alone_a, found.shift.round(2).tolist()
        ([[3, 50]], (70,), [-0.1, 0.1, 0.0])
    """
    sides = (
        _Side.of("a", contacts_a, vertices_a, regions, threshold, least),
        _Side.of("b", contacts_b, vertices_b, regions if regions_b is None else regions_b, threshold, least),
    )
    for name, value in (("reach", reach),):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be metres above 0, got {value}")
    said = [] if answers is None else answers.groups()
    supported = [_both_labelled(group.regions_a, group.regions_b, sides) for group in said]
    fields = _fields([g for g, held in zip(said, supported, strict=True) if held], sides)
    shift = _shift(_off_the_floor(fields, sides), sides) if align else np.zeros(3)
    votes, gaps = _votes(fields, sides, shift, reach)
    pairs = _partners(votes)
    contacts = _contacts(pairs, sides, answers)
    partners = [set(pairs[:, k].tolist()) for k in (0, 1)]
    matched = [
        side.labels & side.member[sorted(found)].any(0) for side, found in zip(sides, partners, strict=True)
    ]
    alone = [
        tuple(sorted(set(side.every.tolist()) - found)) for side, found in zip(sides, partners, strict=True)
    ]
    unsupported = ContactMap.empty()
    if answers is not None and not all(supported):
        unsupported = _groups_of(answers, [k for k, held in enumerate(supported) if not held])
    gap = float(np.median(gaps)) if len(gaps) else float("nan")
    return DenseMatch(contacts, matched[0], matched[1], alone[0], alone[1], unsupported, shift, gap)


class _Side(NamedTuple):
    """One person: the vertices that count, and the regions they are of.

    ``every``: all regions with a label, ascending; ``kept``: without the rims.
    """

    values: Floats
    vertices: Floats
    labels: Bools
    member: Bools
    every: Ids
    kept: Ids
    score: Floats

    @classmethod
    def of(
        cls,
        name: str,
        contacts: ArrayLike,
        vertices: ArrayLike,
        regions: RegionMap,
        threshold: float,
        least: float,
    ) -> _Side:
        values, points = np.asarray(contacts), np.asarray(vertices, dtype=np.float64)
        count = regions.vertex_count
        if values.shape != (count,) or values.dtype.kind not in "biuf":
            raise ValueError(
                f"contacts_{name} must be one number for each of the {count} vertices of "
                f"{regions.topology!r}, got {values.dtype} of shape {values.shape}; of another topology?"
            )
        values = values.astype(np.float64)
        if not (np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()):
            raise ValueError(
                f"contacts_{name} must be probabilities from 0 to 1, got {values.min()} to {values.max()}; "
                "are these logits, which a sigmoid makes probabilities of?"
            )
        if points.shape != (count, 3) or not np.isfinite(points).all():
            raise ValueError(
                f"vertices_{name} must be finite metres of shape ({count}, 3), got {points.shape}"
            )
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be a probability above 0, got {threshold}")
        labels = values >= threshold
        member = np.zeros((NUM_REGIONS, count), dtype=np.bool_)
        member[np.repeat(np.arange(NUM_REGIONS), regions.sizes), regions.vertex_ids] = True
        counts = member[:, labels].sum(1)
        share = counts / np.maximum(member.sum(1), 1)
        every = np.flatnonzero(counts)
        kept = np.flatnonzero(share >= least) if (share >= least).any() else every
        score = (member * np.where(labels, values, 0.0)).sum(1) / np.maximum(counts, 1)
        labels = labels & member[kept].any(0)
        return cls(values, points, labels, member, every, kept, score)

    def votes(self, ids: Ids) -> Floats:
        """``(K,)`` what vertices count in the shift: a region counts once, or soles would outvote hands."""
        member = self.member[:, ids].astype(np.float64)
        found: Floats = (member / np.maximum(member.sum(1, keepdims=True), 1)).sum(0) * self.values[ids]
        return found


class _Field(NamedTuple):
    """Vertices of a that look for partners among those of b; ids."""

    a: Ids
    b: Ids


def _both_labelled(regions_a: Sequence[int], regions_b: Sequence[int], sides: tuple[_Side, _Side]) -> bool:
    return all(
        bool(np.isin(side.kept, list(regions)).any())
        for side, regions in zip(sides, (regions_a, regions_b), strict=True)
    )


def _fields(
    groups: Sequence[tuple[tuple[int, ...], tuple[int, ...], float, str]], sides: tuple[_Side, _Side]
) -> list[_Field]:
    """Let what the answers pair look there, and every other label everywhere."""
    fields = []
    covered = [np.zeros(len(side.labels), dtype=np.bool_) for side in sides]
    for regions_a, regions_b, _, _ in groups:
        masks = [
            side.labels & side.member[list(regions)].any(0)
            for side, regions in zip(sides, (regions_a, regions_b), strict=True)
        ]
        fields.append(_Field(np.flatnonzero(masks[0]), np.flatnonzero(masks[1])))
        for cover, mask in zip(covered, masks, strict=True):
            cover |= mask
    free = [side.labels & ~cover for side, cover in zip(sides, covered, strict=True)]
    if free[0].any() and free[1].any():
        fields.append(_Field(np.flatnonzero(free[0]), np.flatnonzero(free[1])))
    return [field for field in fields if len(field.a) and len(field.b)]


def _matches(field: _Field, sides: tuple[_Side, _Side], shift: Floats) -> tuple[Ids, Ids, Floats]:
    """``(M,)`` twice and ``(M, 3)``: of each vertex of either side its nearest of the other, and b - a."""
    a, b = sides[0].vertices[field.a], sides[1].vertices[field.b] + shift
    to_b, to_a = cKDTree(b).query(a)[1], cKDTree(a).query(b)[1]
    first = np.concatenate([np.arange(len(a)), to_a])
    second = np.concatenate([to_b, np.arange(len(b))])
    return field.a[first], field.b[second], b[second] - a[first]


def _shift(fields: Sequence[_Field], sides: tuple[_Side, _Side]) -> Floats:
    """``(3,)`` where b's labels lie on a's: the best of what lays one region on another, refined."""
    if not fields:
        return np.zeros(3)
    candidates = [np.zeros((1, 3))]
    for field in fields:
        centres = [_centres(side, ids) for side, ids in zip(sides, field, strict=True)]
        candidates.append((centres[0][:, None] - centres[1][None]).reshape(-1, 3))
    tried = np.concatenate(candidates)
    tried = tried[np.linalg.norm(tried, axis=1) <= _FARTHEST]
    scores = np.zeros(len(tried))
    for field in fields:
        a_ids, b_ids = (_thinned(ids) for ids in field)
        a, b = sides[0].vertices[a_ids], sides[1].vertices[b_ids]
        tree_a, tree_b = cKDTree(a), cKDTree(b)
        votes_a, votes_b = sides[0].votes(a_ids), sides[1].votes(b_ids)
        for points, tree, sign, vote in ((b, tree_a, 1, votes_b), (a, tree_b, -1, votes_a)):
            moved = points[None] + sign * tried[:, None]
            near = tree.query(moved.reshape(-1, 3), distance_upper_bound=4 * _CLOSE)[0]
            scores += np.exp(-0.5 * (near.reshape(len(tried), -1) / _CLOSE) ** 2) @ vote
    scores *= np.exp(-0.5 * ((tried / _LIKELY) ** 2).sum(1))
    shift: Floats = tried[int(np.argmax(scores))].copy()
    for _ in range(_ROUNDS):
        total, weight = np.zeros(3), 0.0
        for field in fields:
            a_ids, b_ids, gap = _matches(field, sides, shift)
            each = sides[0].votes(a_ids) * sides[1].votes(b_ids) / (1 + (gap**2).sum(1) / _SOFT**2) ** 2
            total, weight = total + each @ gap, weight + float(each.sum())
        step = total / max(weight, 1e-12)
        shift = shift - step
        if np.abs(step).max() < 1e-4:
            break
    return shift


def _off_the_floor(fields: Sequence[_Field], sides: tuple[_Side, _Side]) -> list[_Field]:
    """Without feet, where anything else is labelled: on the floor they would lie best on each other."""
    left = []
    for field in fields:
        off = [
            ids[~side.member[np.ix_(np.array(_FEET), ids)].any(0)]
            for side, ids in zip(sides, field, strict=True)
        ]
        if len(off[0]) and len(off[1]):
            left.append(_Field(off[0], off[1]))
    return left or list(fields)


def _centres(side: _Side, ids: Ids) -> Floats:
    """``(R, 3)`` middle of the labelled vertices of each region among some."""
    members = side.member[:, ids]
    found = members[members.any(1)].astype(np.float64)
    centres: Floats = found @ side.vertices[ids] / found.sum(1, keepdims=True)
    return centres


def _thinned(ids: Ids) -> Ids:
    if len(ids) <= _ENOUGH:
        return ids
    chosen: Ids = ids[np.linspace(0, len(ids) - 1, _ENOUGH).round().astype(np.int64)]
    return chosen


def _votes(
    fields: Sequence[_Field], sides: tuple[_Side, _Side], shift: Floats, reach: float
) -> tuple[Floats, Floats]:
    """``(75, 75)`` how much speaks for each pair of regions, and the distances of all matches in reach."""
    votes, gaps = np.zeros((NUM_REGIONS, NUM_REGIONS)), [np.zeros(0)]
    for field in fields:
        a, b, gap = _matches(field, sides, shift)
        distance = np.sqrt((gap**2).sum(1))
        near = distance <= reach
        a, b, distance = a[near], b[near], distance[near]
        each = sides[0].values[a] * sides[1].values[b] * (1 - (distance / reach) ** 2)
        rows = [side.member[:, ids].astype(np.float64) for side, ids in zip(sides, (a, b), strict=True)]
        votes += (rows[0] * each) @ rows[1].T
        gaps.append(distance)
    for axis, side in enumerate(sides):
        dropped = np.setdiff1d(np.arange(NUM_REGIONS), side.kept)
        votes[(slice(None),) * axis + (dropped,)] = 0
    return votes, np.concatenate(gaps)


def _partners(votes: Floats) -> Ids:
    """``(K, 2)`` pairs that have their share of the votes of either of their regions, most votes first."""
    share = np.maximum(
        votes / np.maximum(votes.sum(1, keepdims=True), 1e-12),
        votes / np.maximum(votes.sum(0, keepdims=True), 1e-12),
    )
    pairs = np.argwhere((share >= _VOTES) & (votes > 0))
    found: Ids = pairs[np.argsort(-votes[pairs[:, 0], pairs[:, 1]], kind="stable")]
    return found


def _contacts(pairs: Ids, sides: tuple[_Side, _Side], answers: ContactMap | None) -> ContactMap:
    """Return pairs grouped by parts; what answers state as well is likelier."""
    if not len(pairs):
        return ContactMap.empty()
    weights = sides[0].score[pairs[:, 0]] * sides[1].score[pairs[:, 1]]
    if answers is not None:
        stated = np.clip(answers.to_dense()[pairs[:, 0], pairs[:, 1]], 0, 1)
        weights = 1 - (1 - weights) * (1 - stated)
    numbers: dict[tuple[str, str, str, str], int] = {}
    group = [numbers.setdefault((*_part(a), *_part(b)), len(numbers)) for a, b in pairs.tolist()]
    names = [f"{_words(*key[:2])} - {_words(*key[2:])}" for key in numbers]
    return ContactMap(pairs, weights, group, names)


def _groups_of(cmap: ContactMap, wanted: Sequence[int]) -> ContactMap:
    """Return some groups of a map, as a map; `ContactMap.groups` counts them."""
    group = np.arange(len(cmap)) if cmap.group is None else cmap.group
    rows = np.flatnonzero(np.isin(group, wanted))
    if cmap.group is None:
        return ContactMap(cmap.pairs[rows], cmap.weights[rows])
    place = {number: k for k, number in enumerate(wanted)}
    names = None if cmap.group_names is None else [cmap.group_names[k] for k in wanted]
    return ContactMap(cmap.pairs[rows], cmap.weights[rows], [place[g] for g in group[rows].tolist()], names)


def _part(region: int) -> tuple[str, str]:
    entry = REGIONS[region]
    return entry.part, "none" if entry.side == "center" else entry.side


def _words(part: str, side: str) -> str:
    return part if side == "none" else f"{side} {part}"
