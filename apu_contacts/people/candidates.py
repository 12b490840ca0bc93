"""Which people in an image may be touching: the pairs that are worth a question to a model, and a fit.

The paper (Ask, Pose, Unite, section 3.1) proposes all pairs with k valid keypoints within a distance d of
each other whose mesh predictions are aligned with the keypoints. It gives neither k nor d nor the measure of
alignment. Here distances are shares of the people's size in the image, and the defaults propose all annotated
pairs of the real photographs that the tests read (docs/measurements/people.md has the figures).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints import SEEN, Keypoints2D, convert_keypoints, is_seen, person_size
from apu_contacts.people.matching import keypoint_distances
from apu_contacts.sources.detection import PersonDetection

REASONS = ("too few keypoints", "far apart", "same person", "no mesh", "mesh misaligned", "different depth")
"""Why a pair is rejected, in the order in which it is checked; the first that applies is given."""


@dataclass(frozen=True)
class CandidatePair:
    """Two people who may be touching; ``person_a < person_b`` are positions in the list of people.

    Args:
        distance: the smallest d at which the pair would still be proposed, as a share of the people's size.
        near: how many keypoints of each lie within the chosen d of the other, the smaller of the two numbers.
        mesh_error: the larger of the two people's distances between their keypoints and their projected body,
            as a share of their size; None where meshes were not asked for.
        gap: metres between the nearest estimated 3D joints of the two; None where one has none.
    """

    person_a: int
    person_b: int
    distance: float
    near: int
    mesh_error: float | None
    gap: float | None


@dataclass(frozen=True)
class RejectedPair:
    """Two people who were not proposed. ``reason`` is one of `REASONS`, ``detail`` says it with its
    figures.
    """

    person_a: int
    person_b: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Proposal:
    """Every pair of an image is in one of the two lists.

    Args:
        candidates: the nearest pair first.
        rejected: in the order of the people.
    """

    candidates: tuple[CandidatePair, ...]
    rejected: tuple[RejectedPair, ...]

    def counts(self) -> dict[str, int]:
        """``"proposed"`` and every reason -> number of pairs."""
        found = Counter(pair.reason for pair in self.rejected)
        return {"proposed": len(self.candidates), **{reason: found[reason] for reason in REASONS}}


def propose_pairs(
    people: Sequence[PersonDetection],
    *,
    min_keypoints: int = 3,
    max_distance: float = 0.2,
    min_confidence: float = SEEN,
    require_mesh: bool | Collection[int] = True,
    max_mesh_error: float = 0.15,
    max_gap: float | None = None,
    min_difference: float = 0.08,
) -> Proposal:
    """All pairs of people who may be touching, for any number of people.

    Args:
        people: of one image.
        min_keypoints: k; so many keypoints of each of the two must lie within ``max_distance`` of some
            keypoint of the other. One or two crossing joints are common in a crowd.
        max_distance: d, as a share of the geometric mean of the two people's `person_size`.
        min_confidence: a keypoint is seen from this confidence on.
        require_mesh: demand an initial estimate of both people that is aligned with their keypoints; or
            positions of the people of whom it is demanded.
        max_mesh_error: what counts as aligned: the mean distance of a person's valid keypoints from the
            projected joints of their estimate, as a share of their size.
        max_gap: metres; pairs whose estimated 3D joints are further apart are rejected. None (the paper)
            leaves depth out of it: a monocular estimate may place people who touch 0.4 m apart.
        min_difference: two records whose common keypoints agree to this share of the size are one person,
            detected twice.

    Raises:
        ValueError: if a threshold is out of its range.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, assemble_people, convert_keypoints, propose_pairs
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> people = assemble_people([convert_keypoints(each, "body25") for each in (left, right)]).people
        >>> proposal = propose_pairs(people, require_mesh=False)
        >>> type(proposal).__name__
        'Proposal'
    """
    if min_keypoints < 1:
        raise ValueError(f"min_keypoints must be at least 1, got {min_keypoints}")
    if not max_distance > 0:
        raise ValueError(f"max_distance must be positive (a share of the people's size), got {max_distance}")
    body = [_seen_only(convert_keypoints(person.keypoints, "body25"), min_confidence) for person in people]
    error = [_mesh_error(person, keypoints) for person, keypoints in zip(people, body, strict=True)]
    apart, common = keypoint_distances(body, body, min_confidence=min_confidence)

    everybody: Collection[int] = range(len(people))
    meshed = require_mesh if not isinstance(require_mesh, bool) else everybody if require_mesh else ()
    candidates: list[CandidatePair] = []
    rejected: list[RejectedPair] = []
    for a in range(len(people)):
        for b in range(a + 1, len(people)):
            distance, near = _reach(body[a], body[b], min_keypoints, max_distance)
            gap = _gap(people[a], people[b])
            verdict: tuple[str, str] | None = None
            asked = {i: error[i] for i in (a, b) if i in meshed}
            if not np.isfinite(distance):
                fewest = min(int(body[a].valid.sum()), int(body[b].valid.sum()))
                verdict = REASONS[0], f"{fewest} valid keypoints, {min_keypoints} are needed"
            elif distance > max_distance:
                verdict = REASONS[1], f"{distance:.2f} of their size apart, above {max_distance:g}"
            elif common[a, b] >= min_keypoints and apart[a, b] <= min_difference:
                verdict = (
                    REASONS[2],
                    f"their keypoints agree to {apart[a, b]:.2f} of their size: detected twice?",
                )
            else:
                verdict = _mesh_verdict(asked, max_mesh_error)
            if verdict is None and max_gap is not None and gap is not None and gap > max_gap:
                verdict = REASONS[5], f"{gap:.2f} m between their estimated joints, above {max_gap:g}"
            if verdict is not None:
                rejected.append(RejectedPair(a, b, *verdict))
                continue
            both = [e for i, e in asked.items() if e is not None]
            candidates.append(CandidatePair(a, b, distance, near, max(both) if both else None, gap))
    candidates.sort(key=lambda pair: (pair.distance, pair.person_a, pair.person_b))
    return Proposal(tuple(candidates), tuple(rejected))


def _seen_only(keypoints: Keypoints2D, min_confidence: float) -> Keypoints2D:
    confidence = np.where(is_seen(keypoints.confidence, min_confidence), keypoints.confidence, 0)
    return Keypoints2D(keypoints.skeleton, keypoints.xy, confidence)


def _reach(a: Keypoints2D, b: Keypoints2D, count: int, limit: float) -> tuple[float, int]:
    """Return the relative distance within which ``count`` keypoints of each lie of the other, and how many
    within ``limit``.

    inf where one of the two has fewer valid keypoints, or no extent.
    """
    size = np.sqrt(person_size(a, 0.0) * person_size(b, 0.0))  # of those that are left
    if min(a.valid.sum(), b.valid.sum()) < count or size == 0:
        return float("inf"), 0
    between: NDArray[np.float64] = np.linalg.norm(a.xy[a.valid][:, None] - b.xy[b.valid][None], axis=2) / size
    of_a, of_b = np.sort(between.min(1)), np.sort(between.min(0))
    near = min(int((of_a <= limit).sum()), int((of_b <= limit).sum()))
    return float(max(of_a[count - 1], of_b[count - 1])), near


def _mesh_error(person: PersonDetection, keypoints: Keypoints2D) -> float | None:
    """How far a person's estimated body is from their keypoints; None without an estimate, or a projection of
    it.
    """
    if person.initial is None or person.initial.projected is None:
        return None
    return float(keypoint_distances([keypoints], [person.initial.projected], min_confidence=0.0)[0][0, 0])


def _mesh_verdict(errors: Mapping[int, float | None], limit: float) -> tuple[str, str] | None:
    for person, error in errors.items():
        if error is None:
            return REASONS[3], f"person {person} has no estimated body"
    for person, error in errors.items():
        if error is not None and error > limit:
            return REASONS[
                4
            ], f"person {person}'s body is {error:.2f} of their size off their keypoints, above {limit:g}"
    return None


def _gap(a: PersonDetection, b: PersonDetection) -> float | None:
    if a.initial is None or b.initial is None or not (len(a.initial.joints) and len(b.initial.joints)):
        return None
    between = np.linalg.norm(a.initial.joints[:, None] - b.initial.joints[None], axis=2)
    return float(between.min())
