"""Which person of one file is which person of another.

People are matched one to one, by the assignment of least total cost, so that no person is used twice and no
choice is made before its rivals are known. The distance between two sets of keypoints is the mean distance of
the joints that both have, divided by the people's size in the image; so one threshold serves people near and
far, images large and small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.keypoints import SEEN, Keypoints2D, convert_keypoints, is_seen
from apu_contacts.keypoints.extent import keypoint_box, person_size

Array = NDArray[np.float64]

MAX_DISTANCE = 0.15
"""Largest distance of a match, as a share of the person's size. On real photographs of crowds two detectors
agree to 0.01-0.07 on the same person, and different people are 0.14 (a head between two others) and mostly
0.18 and more apart."""
MIN_COMMON = 3
"""Joints that both must have: two say little about who it is."""
MAX_DUPLICATE_DISTANCE = 0.08
"""Two records of one detector that agree to this share of the size are one person. Two people are 0.14 and
more apart on real photographs of crowds."""
MIN_IOU = 0.3
"""Least overlap of a given box with a person's keypoint box. Boxes of detectors are up to twice as large."""


@dataclass(frozen=True)
class Match:
    """The person ``index_a`` of the first list is the person ``index_b`` of the second.

    Args:
        distance: cost of the match: keypoint distance over person size, or 1 - IoU.
        margin: by how much the total cost of the whole assignment rises if this match is forbidden. 0 means
            that another assignment is as good. It cannot exceed the threshold minus the distance, which is
            reached where the two have no rival.
        common: joints that were compared; 0 for boxes.
    """

    index_a: int
    index_b: int
    distance: float
    margin: float
    common: int


@dataclass(frozen=True)
class Matching:
    """A one-to-one assignment between two lists of people.

    Args:
        matches: sorted by ``index_a``.
        unmatched_a, unmatched_b: position in the list -> why there is no match.
    """

    matches: tuple[Match, ...]
    unmatched_a: Mapping[int, str]
    unmatched_b: Mapping[int, str]

    def transposed(self) -> Matching:
        """Return the same assignment with the two lists exchanged."""
        matches = sorted(
            (Match(m.index_b, m.index_a, m.distance, m.margin, m.common) for m in self.matches),
            key=lambda m: m.index_a,
        )
        return Matching(tuple(matches), self.unmatched_b, self.unmatched_a)

    def of_a(self, index: int) -> Match | None:
        """Return the match of a person of the first list."""
        return next((m for m in self.matches if m.index_a == index), None)

    def of_b(self, index: int) -> Match | None:
        """Return the match of a person of the second list."""
        return next((m for m in self.matches if m.index_b == index), None)


def keypoint_distances(
    people_a: Sequence[Keypoints2D],
    people_b: Sequence[Keypoints2D],
    *,
    min_confidence: float = SEEN,
) -> tuple[Array, NDArray[np.int64]]:
    """Relative keypoint distances between all people of two lists.

    The 25 joints of BODY_25 are compared, whatever the two skeletons are (hands and face crowd a few pixels
    and would outvote the body). The size of a pair is the larger of the two people's `person_size`, since a
    person of whom one detector sees only the head is not a small person.

    Args:
        people_a: A people.
        people_b: B people.
        min_confidence: joints from this confidence on count.

    Returns:
        ``(A, B)`` mean distance over the common joints / size, inf where there is no common joint, and
        ``(A, B)`` the number of common joints.
    """
    xy_a, seen_a, size_a = _stack(people_a, min_confidence)
    xy_b, seen_b, size_b = _stack(people_b, min_confidence)
    common = seen_a[:, None] & seen_b[None]
    count = common.sum(2)
    distance = np.linalg.norm(xy_a[:, None] - xy_b[None], axis=3)
    mean = (distance * common).sum(2) / np.maximum(count, 1)
    # A size of 0 means a single joint: nothing to compare a distance with.
    size = np.maximum(size_a[:, None], size_b[None])
    relative = np.where((count > 0) & (size > 0), mean / np.where(size > 0, size, 1.0), np.inf)
    return relative, count


def _stack(people: Sequence[Keypoints2D], min_confidence: float) -> tuple[Array, NDArray[np.bool_], Array]:
    body = [convert_keypoints(person, "body25") for person in people]
    xy = np.array([b.xy for b in body]).reshape(len(body), 25, 2)
    seen = is_seen(np.array([b.confidence for b in body]).reshape(len(body), 25), min_confidence)
    size = np.array([person_size(b, min_confidence) for b in body])
    return np.where(seen[..., None], xy, 0.0), seen, size


def find_duplicates(
    people: Sequence[Keypoints2D],
    *,
    max_distance: float = MAX_DUPLICATE_DISTANCE,
    min_common: int = MIN_COMMON,
    min_confidence: float = SEEN,
) -> list[tuple[int, int, float]]:
    """Return records of one list that are the same person: ``(kept, duplicate, distance)``, the nearest
    first.

    Of two records the one with more confidence in all is kept; nobody is a duplicate of a duplicate.

    Args:
        people: of one image.
        max_distance: records whose common joints agree to this share of the size are one person.
        min_common: joints that both must have.
        min_confidence: joints from this confidence on are compared.
    """
    distance, common = keypoint_distances(people, people, min_confidence=min_confidence)
    near = (distance <= max_distance) & (common >= min_common)
    weight = [float(convert_keypoints(person, "body25").confidence.sum()) for person in people]
    pairs = sorted((float(distance[a, b]), int(a), int(b)) for a, b in np.argwhere(np.triu(near, 1)))
    gone: set[int] = set()
    found = []
    for apart, a, b in pairs:
        if gone & {a, b}:
            continue
        kept, lost = (a, b) if weight[a] >= weight[b] else (b, a)
        gone.add(lost)
        found.append((kept, lost, apart))
    return found


def match_people(
    people_a: Sequence[Keypoints2D],
    people_b: Sequence[Keypoints2D],
    *,
    max_distance: float = MAX_DISTANCE,
    min_common: int = MIN_COMMON,
    min_confidence: float = SEEN,
) -> Matching:
    """Return the best one-to-one assignment between two detectors' people, for any numbers of them.

    Among all assignments, partial ones included, the one of least total cost is taken, where a match costs
    its `keypoint_distances` and a person of the shorter list left alone costs ``max_distance``. So a poor
    match is not bought by making a good one worse. Two detections of one person are not merged: the better
    one gets the match and the other's reason says so.

    Args:
        people_a, people_b: the two lists; skeletons may differ.
        max_distance: pairs further apart, as a share of the person's size, are never matched.
        min_common: pairs with fewer common joints are never matched.
        min_confidence: joints from this confidence on are compared.

    Raises:
        ValueError: if a threshold is out of its range.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, match_people
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> match_people([left, right], [right, left]).of_a(0).index_b
        1
    """
    if not max_distance > 0:
        raise ValueError(f"max_distance must be positive (a share of the person's size), got {max_distance}")
    if min_common < 1:
        raise ValueError(f"min_common must be at least 1, got {min_common}")
    distance, common = keypoint_distances(people_a, people_b, min_confidence=min_confidence)

    def why(i: int, j: int) -> str:
        return f"is {distance[i, j]:.2f} of the person's size away, above {max_distance:g}"

    return _assign(np.where(common >= min_common, distance, np.inf), max_distance, common, why)


def match_boxes(boxes: ArrayLike, people: Sequence[Keypoints2D], *, min_iou: float = MIN_IOU) -> Matching:
    """Return the best one-to-one assignment of given boxes to people, by the overlap with the box around
    their keypoints.

    Args:
        boxes: ``(B, 4)`` x0, y0, x1, y1 in pixels; list a of the result.
        people: list b of the result.
        min_iou: least intersection over union.

    Raises:
        ValueError: if ``boxes`` has another shape, or a box ends before it starts.
    """
    given = np.asarray(boxes, dtype=np.float64)
    if given.size == 0:
        given = given.reshape(0, 4)
    if given.ndim != 2 or given.shape[1] != 4:
        raise ValueError(f"boxes must have shape (B, 4), got {given.shape}")
    if (given[:, 2:] < given[:, :2]).any():
        bad = int(np.flatnonzero((given[:, 2:] < given[:, :2]).any(1))[0])
        raise ValueError(f"boxes must be x0, y0, x1, y1; box {bad} is {given[bad]}: x, y, width, height?")
    # boxes are drawn around all that was detected: around what was seen, 1 of 30 in a crowd finds nobody
    around = [keypoint_box(person, min_confidence=0) for person in people]
    found = np.array([np.full(4, np.nan) if b is None else b for b in around]).reshape(-1, 4)
    overlap = _iou(given, found)

    def why(i: int, j: int) -> str:
        return f"overlaps it by an IoU of {overlap[i, j]:.2f}, below {min_iou:g}"

    return _assign(1 - overlap, 1 - min_iou, np.zeros(overlap.shape, dtype=np.int64), why)


def _iou(a: Array, b: Array) -> Array:
    """Return ``(A, B)`` intersection over union; 0 for boxes that are not there."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a[:, None] + area_b[None] - inside
    result: Array = np.nan_to_num(np.divide(inside, union, out=np.zeros_like(union), where=union > 0))
    return result


def _assign(
    cost: Array, threshold: float, common: NDArray[np.int64], why: Callable[[int, int], str]
) -> Matching:
    from scipy.optimize import linear_sum_assignment

    # At the threshold a match is worth as much as none; such entries are dropped after the assignment.
    capped = np.minimum(cost, threshold)

    def solve(table: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
        rows, columns = linear_sum_assignment(table)
        return rows, columns, float(table[rows, columns].sum())

    rows, columns, total = solve(capped)
    matches = []
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        if cost[i, j] > threshold:
            continue
        without = capped.copy()
        without[i, j] = threshold
        margin = max(solve(without)[2] - total, 0.0)
        matches.append(Match(i, j, float(cost[i, j]), margin, int(common[i, j])))
    a_of = {m.index_b: m.index_a for m in matches}
    b_of = {m.index_a: m.index_b for m in matches}
    lonely_a = {i: _reason(i, cost, threshold, a_of, why) for i in range(cost.shape[0]) if i not in b_of}
    lonely_b = {
        j: _reason(j, cost.T, threshold, b_of, lambda j, i: why(i, j))
        for j in range(cost.shape[1])
        if j not in a_of
    }
    return Matching(tuple(matches), MappingProxyType(lonely_a), MappingProxyType(lonely_b))


def _reason(
    index: int, cost: Array, threshold: float, owner: Mapping[int, int], why: Callable[[int, int], str]
) -> str:
    """Why the person of a row of ``cost`` has no match; ``owner`` says which row each column went to."""
    if cost.shape[1] == 0:
        return "there is nobody to match with"
    nearest = int(np.argmin(cost[index]))
    distance = cost[index, nearest]
    if not np.isfinite(distance):
        return "has too few joints in common with anybody"
    if distance > threshold:
        return f"the nearest, person {nearest}, {why(index, nearest)}"
    rival = owner.get(nearest)
    if rival is None:
        return f"the nearest, person {nearest}, is at the threshold"
    return (
        f"its nearest, person {nearest} at {distance:.2f}, is a better match for person {rival} "
        f"at {cost[rival, nearest]:.2f}; was one person detected twice, or this one missed by the other?"
    )
