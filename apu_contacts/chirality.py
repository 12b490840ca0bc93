"""Which side of a body part is meant, and which person is meant, decided with 2D keypoints.

Vision language models mix up the left and right of the picture with the left and right of the body (paper,
section 3.1, "Contact map denoising"). Keypoint detectors are better at it, so each contact gets the sides
whose keypoints lie close to each other in the picture.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contact_map import PartContact
from apu_contacts.keypoints.parts import MIDLINE_PARTS, part_keypoints
from apu_contacts.keypoints.skeletons import skeleton
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.lvlm.answer import ContactAnswer

Rule = Literal["paper", "posterior"]
Sides = tuple[str, str]

DEFAULT_TAU = 0.25
"""Fall-off of W_ij, in fractions of the two people's size in the picture."""

MIN_CONFIDENCE = 0.2
"""Keypoints with less confidence than this are treated as missing, as in the filter (design section 4.7)."""

CLEAR = 0.5
"""Margin from which a decision counts as clear: the best is at least three times as likely as the other."""

_FLIP = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class SideBelief:
    """How far a model's stated sides are believed, before any keypoint is looked at.

    The three ways of being wrong are not alike: models exchange left and right of both people together more
    often than of one (paper, section 3.1). ``kept + together + 2 * alone`` must be 1.

    Args:
        kept: both sides are right.
        together: both are flipped.
        alone: only the first is flipped; and the same for the second.

    Raises:
        ValueError: if one is negative or they do not add up to 1.
    """

    kept: float = 0.4
    together: float = 0.3
    alone: float = 0.15

    def __post_init__(self) -> None:
        total = self.kept + self.together + 2 * self.alone
        if min(self.kept, self.together, self.alone) < 0 or abs(total - 1) > 1e-6:
            raise ValueError(
                f"kept + together + 2 * alone must be 1 and none negative, got {self}, sum {total:g}"
            )


@dataclass(frozen=True)
class DistanceModel:
    """How likely a keypoint distance is between two parts that touch, up to a factor.

    ``outlier + (1 - outlier) * exp(-d / sqrt(scale^2 + (error / c)^2))``, d in fractions of the people's size
    and c the lower confidence of the two keypoints: a doubtful keypoint tells less. The constant is what
    keeps one wrong keypoint from deciding everything.

    Args:
        scale: mean distance between the keypoints of parts that touch; the keypoints lie inside of the body.
        error: standard error of a keypoint of confidence 1.
        outlier: floor of the likelihood.

    Raises:
        ValueError: if a value is out of range.
    """

    scale: float = 0.06
    error: float = 0.01
    outlier: float = 0.005

    def __post_init__(self) -> None:
        if not (self.scale > 0 and self.error >= 0 and 0 < self.outlier < 1):
            raise ValueError(f"scale must be above 0, error at least 0, outlier between 0 and 1, got {self}")

    def likelihood(self, distance: float, confidence: float) -> float:
        """Of one distance; NaN for a distance that is not known."""
        if math.isnan(distance):
            return math.nan
        spread = math.hypot(self.scale, self.error / confidence)
        return self.outlier + (1 - self.outlier) * math.exp(-distance / spread)


@dataclass(frozen=True)
class DenoisedContact(PartContact):
    """A part contact whose sides were chosen with keypoints.

    ``weight`` is W_ij. ``margin`` lies in [0, 1]: how clearly the chosen sides beat the next best; 0 where
    there was nothing to compare.

    Args:
        distance: keypoint distance of the chosen sides over the people's size; NaN where joints are missing.
        stated: the sides as they were told.
        probability: belief in the chosen sides; 1 under the paper's rule.
    """

    distance: float = math.nan
    stated: Sides = ("none", "none")
    probability: float = 1.0

    @property
    def flipped(self) -> bool:
        """The chosen sides differ from those that were told."""
        return (self.side_a, self.side_b) != self.stated


class PersonOrder(NamedTuple):
    """Which of two detected people an answer means by its person a.

    Args:
        exchanged: the answer's person a is the second of the two people.
        probability: belief in that decision, 0.5 to 1.
        margin: ``2 * probability - 1``.
    """

    exchanged: bool
    probability: float
    margin: float

    @property
    def clear(self) -> bool:
        """The margin reaches `CLEAR`. Where it does not, a fit keeps the minimum over both orders (paper,
        section 3.1, implementation details)."""
        return self.margin >= CLEAR


def people_size(keypoints_a: Keypoints2D, keypoints_b: Keypoints2D) -> float:
    """Size of two people in the picture, in pixels: the geometric mean of their keypoint boxes' diagonals.

    Raises:
        ValueError: if a person has fewer than two keypoints above `MIN_CONFIDENCE`, or all in one point.
    """
    diagonals = []
    for name, person in (("keypoints_a", keypoints_a), ("keypoints_b", keypoints_b)):
        seen = person.xy[person.confidence >= MIN_CONFIDENCE]
        diagonal = float(np.linalg.norm(seen.max(0) - seen.min(0))) if len(seen) > 1 else 0.0
        if diagonal == 0.0:
            raise ValueError(
                f"{name} must have two keypoints of confidence {MIN_CONFIDENCE} or more at different "
                f"places, got "
                f"{len(seen)}; was this person matched to the right detection?"
            )
        diagonals.append(diagonal)
    return math.sqrt(diagonals[0] * diagonals[1])


def part_distance(
    part_a: str, side_a: str, part_b: str, side_b: str, keypoints_a: Keypoints2D, keypoints_b: Keypoints2D
) -> float:
    """Smallest pixel distance between the keypoints of two parts; NaN where either has none detected."""
    return _nearest((part_a,), side_a, (part_b,), side_b, keypoints_a, keypoints_b)[0]


def _nearest(
    parts_a: tuple[str, ...],
    side_a: str,
    parts_b: tuple[str, ...],
    side_b: str,
    keypoints_a: Keypoints2D,
    keypoints_b: Keypoints2D,
) -> tuple[float, float]:
    """Smallest pixel distance, and the lower confidence of the two keypoints; NaN, 0 if there is none."""
    rows_a, rows_b = _rows(parts_a, side_a, keypoints_a), _rows(parts_b, side_b, keypoints_b)
    if not len(rows_a) or not len(rows_b):
        return math.nan, 0.0
    gaps = np.linalg.norm(keypoints_a.xy[rows_a][:, None] - keypoints_b.xy[rows_b][None], axis=-1)
    i, j = divmod(int(gaps.argmin()), len(rows_b))
    confidence = min(keypoints_a.confidence[rows_a[i]], keypoints_b.confidence[rows_b[j]])
    return float(gaps[i, j]), float(confidence)


def _rows(parts: tuple[str, ...], side: str, keypoints: Keypoints2D) -> NDArray[np.int64]:
    names = [name for part in parts for name in part_keypoints(part, side)]
    rows = skeleton(keypoints.skeleton).indices(names)
    found: NDArray[np.int64] = rows[keypoints.confidence[rows] >= MIN_CONFIDENCE]
    return found


def denoise_chirality(
    answer: ContactAnswer | Iterable[PartContact],
    keypoints_a: Keypoints2D,
    keypoints_b: Keypoints2D,
    rule: Rule = "paper",
    tau: float = DEFAULT_TAU,
    belief: SideBelief | None = None,
    distances: DistanceModel | None = None,
) -> list[DenoisedContact]:
    """Sets each contact's sides to those that the keypoints support, and gives it the weight W_ij.

    ``rule="paper"`` (section 3.1) believes the model where it says that the two sides are the same or
    opposite and lets only both flip together. ``rule="posterior"`` (design 4.4) weighs all four combinations:
    how far stated sides are believed times how likely each keypoint distance is between parts that touch.

    The weight is ``confidence * probability * exp(-d / tau)`` (design 4.3), d the keypoint distance of the
    chosen sides over the people's size; the probability is 1 under the paper's rule. Where joints are missing
    the closeness is not known and counts as ``exp(-1)``.

    Parts across the midline (`MIDLINE_PARTS`: chest, stomach, back, waist, neck, head, face) have only
    proxies for their halves. Their side flips together with the other part's, but never alone. ``"both"``
    stays as told. ``"none"`` stays under the paper's rule; the posterior replaces it where the choice is
    clear (`CLEAR`).

    Args:
        answer: an answer, or part contacts; person a is the person on the left of the answer. A contact that
            has ``sides``, as those of `apu_contacts.lvlm.fuse_answers`, gives a distribution of stated sides.
        keypoints_a: of person a, in pixels of the full picture.
        keypoints_b: of person b.
        rule: how sides are chosen.
        tau: fall-off of the weight, a fraction of the people's size.
        belief: how far stated sides are believed, for the posterior; the default if None.
        distances: likelihood of keypoint distances, for the posterior; the default if None.

    Returns:
        one contact per contact given, in the same order.

    Raises:
        ValueError: on an unknown rule, a tau that is not above 0, or people without keypoints.
    """
    if rule not in ("paper", "posterior"):
        raise ValueError(f"rule must be 'paper' or 'posterior', got {rule!r}")
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}")
    contacts = answer.contacts if isinstance(answer, ContactAnswer) else tuple(answer)
    if not contacts:
        return []
    pair = _Pair(keypoints_a, keypoints_b, people_size(keypoints_a, keypoints_b))
    if rule == "paper":
        return [_by_paper(contact, pair, tau) for contact in contacts]
    belief, distances = belief or SideBelief(), distances or DistanceModel()
    return [_by_posterior(contact, pair, tau, belief, distances) for contact in contacts]


class _Pair(NamedTuple):
    a: Keypoints2D
    b: Keypoints2D
    size: float

    def distance(self, contact: PartContact, sides: Sides) -> tuple[float, float]:
        """Distance over size, and the keypoints' confidence."""
        parts_a = (contact.part_a, *contact.alternatives_a)
        parts_b = (contact.part_b, *contact.alternatives_b)
        pixels, confidence = _nearest(parts_a, sides[0], parts_b, sides[1], self.a, self.b)
        return pixels / self.size, confidence


def _by_paper(contact: PartContact, pair: _Pair, tau: float) -> DenoisedContact:
    stated = (contact.side_a, contact.side_b)
    other = (_FLIP.get(stated[0], stated[0]), _FLIP.get(stated[1], stated[1]))
    # A midline half has nothing but the other part's side to go with.
    limbs = _has_side(contact, 0) and _FLIP.get(stated[0]), _has_side(contact, 1) and _FLIP.get(stated[1])
    if not any(limbs) and not all(side in _FLIP for side in stated):
        other = stated
    found = {sides: pair.distance(contact, sides)[0] for sides in (stated, other)}
    chosen = other if found[other] < found[stated] else stated
    return _denoised(contact, chosen, found[chosen], tau, _distance_margin(found), 1.0)


def _distance_margin(found: Mapping[Sides, float]) -> float:
    """(second - first) / (second + first) of the two distances; 0 if there is one, or one is missing."""
    values = sorted(found.values())
    if len(values) < 2 or any(math.isnan(value) for value in values) or values[1] == 0.0:
        return 0.0
    return (values[1] - values[0]) / (values[1] + values[0])


def _has_side(contact: PartContact, person: int) -> bool:
    """Whether the part has keypoints of its own on either side."""
    parts = (
        (contact.part_a, *contact.alternatives_a)
        if person == 0
        else (contact.part_b, *contact.alternatives_b)
    )
    return not MIDLINE_PARTS.issuperset(parts)


def _by_posterior(
    contact: PartContact, pair: _Pair, tau: float, belief: SideBelief, distances: DistanceModel
) -> DenoisedContact:
    stated = (contact.side_a, contact.side_b)
    prior = side_prior(contact, belief)
    found = {sides: pair.distance(contact, sides) for sides in prior}
    posterior = _posterior(prior, found, distances)
    ranked = sorted(posterior, key=lambda sides: (-posterior[sides], sides != stated))
    chosen = ranked[0]
    margin = posterior[chosen] - posterior[ranked[1]] if len(ranked) > 1 else 0.0
    probability = posterior[chosen]
    if margin < CLEAR and "none" in stated and chosen != stated:
        # Not clear enough to put a side in place of "not known".
        kept: Sides = (
            "none" if stated[0] == "none" else chosen[0],
            "none" if stated[1] == "none" else chosen[1],
        )
        probability = sum(p for sides, p in posterior.items() if _agree(kept, sides))
        return _denoised(contact, kept, pair.distance(contact, kept)[0], tau, margin, probability)
    return _denoised(contact, chosen, found[chosen][0], tau, margin, probability)


def _agree(general: Sides, sides: Sides) -> bool:
    return all(g in ("none", s) for g, s in zip(general, sides, strict=True))


def side_prior(contact: PartContact, belief: SideBelief) -> dict[Sides, float]:
    """Belief in each combination of sides before keypoints are looked at; adds up to 1.

    Args:
        contact: its ``sides``, where it has them (a fused contact), is a distribution of the stated sides.
        belief: how far stated sides are believed.
    """
    told: Mapping[Sides, float] = getattr(contact, "sides", None) or {(contact.side_a, contact.side_b): 1.0}
    prior: dict[Sides, float] = {}
    for stated, share in told.items():
        for sides, p in _flips(contact, stated, belief).items():
            prior[sides] = prior.get(sides, 0.0) + share * p
    total = sum(prior.values())
    return {sides: p / total for sides, p in prior.items() if p > 0}


def _flips(contact: PartContact, stated: Sides, belief: SideBelief) -> dict[Sides, float]:
    """The combinations that may be meant by one, with their shares."""
    limbs = _has_side(contact, 0), _has_side(contact, 1)
    if all(side in _FLIP for side in stated):
        a, b = stated
        return {
            (a, b): belief.kept,
            (_FLIP[a], _FLIP[b]): belief.together,
            **({(_FLIP[a], b): belief.alone} if limbs[0] else {}),
            **({(a, _FLIP[b]): belief.alone} if limbs[1] else {}),
        }
    flipped = belief.together + belief.alone
    options: list[dict[str, float]] = []
    for side, limb in zip(stated, limbs, strict=True):
        if side in _FLIP and limb:
            options.append({side: 1 - flipped, _FLIP[side]: flipped})
        elif side == "none" and limb:
            options.append({"left": 0.5, "right": 0.5})
        else:
            options.append({side: 1.0})
    return {(a, b): p * q for (a, p), (b, q) in itertools.product(options[0].items(), options[1].items())}


def _posterior(
    prior: Mapping[Sides, float], found: Mapping[Sides, tuple[float, float]], distances: DistanceModel
) -> dict[Sides, float]:
    """Prior times likelihood. A combination with missing joints counts as likely as the known ones on
    average."""
    likelihoods = {sides: distances.likelihood(*found[sides]) for sides in prior}
    known = [sides for sides in prior if not math.isnan(likelihoods[sides])]
    if not known:
        return dict(prior)
    mean = sum(prior[s] * likelihoods[s] for s in known) / sum(prior[s] for s in known)
    weights = {s: prior[s] * (likelihoods[s] if s in known else mean) for s in prior}
    total = sum(weights.values())
    return {sides: weight / total for sides, weight in weights.items()}


def _denoised(
    contact: PartContact, chosen: Sides, distance: float, tau: float, margin: float, probability: float
) -> DenoisedContact:
    closeness = math.exp(-1.0 if math.isnan(distance) else -distance / tau)
    return DenoisedContact(
        contact.part_a,
        chosen[0],
        contact.part_b,
        chosen[1],
        contact.confidence,
        contact.confidence * probability * closeness,
        margin,
        contact.alternatives_a,
        contact.alternatives_b,
        distance,
        (contact.side_a, contact.side_b),
        probability,
    )


def person_order(
    answer: ContactAnswer | Iterable[PartContact],
    keypoints_a: Keypoints2D,
    keypoints_b: Keypoints2D,
    belief: SideBelief | None = None,
    distances: DistanceModel | None = None,
    position: bool = True,
) -> PersonOrder:
    """Decides which of two people an answer means by its person a, from all its contacts together.

    Each order's evidence is the product over the contacts of the likelihood of its keypoint distances,
    averaged over the sides that may be meant and raised to the contact's confidence. Models say "left" and
    "right" of the picture, so where people stand counts too: their horizontal distance over half the people's
    size, as log odds of up to 3.

    Args:
        answer: an answer, or part contacts.
        keypoints_a: of the person thought to be person a (on the left of the picture).
        keypoints_b: of the other.
        belief: how far stated sides are believed.
        distances: likelihood of keypoint distances.
        position: count where the people stand; to be switched off where person a is not defined as the left
            one.

    Raises:
        ValueError: if a person has no keypoints.
    """
    contacts = answer.contacts if isinstance(answer, ContactAnswer) else tuple(answer)
    belief, distances = belief or SideBelief(), distances or DistanceModel()
    size = people_size(keypoints_a, keypoints_b)
    given, exchanged = _Pair(keypoints_a, keypoints_b, size), _Pair(keypoints_b, keypoints_a, size)
    log_odds = 0.0
    for contact in contacts:
        evidence = [_evidence(contact, pair, belief, distances) for pair in (given, exchanged)]
        if None not in evidence:
            log_odds += contact.confidence * (math.log(evidence[0] or 1.0) - math.log(evidence[1] or 1.0))
    if position:
        offset = (_center(keypoints_b) - _center(keypoints_a)) / (0.5 * size)
        log_odds += 3.0 * math.tanh(offset)
    probability = 1 / (1 + math.exp(-abs(log_odds)))
    return PersonOrder(log_odds < 0, probability, 2 * probability - 1)


def _evidence(
    contact: PartContact, pair: _Pair, belief: SideBelief, distances: DistanceModel
) -> float | None:
    """Likelihood of a contact between these two people, over the sides that may be meant; None if not
    known."""
    total = mass = 0.0
    for sides, p in side_prior(contact, belief).items():
        likelihood = distances.likelihood(*pair.distance(contact, sides))
        if not math.isnan(likelihood):
            total, mass = total + p * likelihood, mass + p
    return total / mass if mass > 0 else None


def _center(keypoints: Keypoints2D) -> float:
    seen = keypoints.confidence >= MIN_CONFIDENCE
    return float(np.average(keypoints.xy[seen, 0], weights=keypoints.confidence[seen]))
