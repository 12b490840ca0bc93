"""Which side of a body part is meant, and which person is meant, decided with 2D keypoints.

Vision language models mix up the left and right of the picture with the left and right of the body (paper,
section 3.1, "Contact map denoising"). Keypoint detectors are better at it, so each contact gets the sides
whose keypoints lie close to each other in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from apu_contacts.answers.answer import ContactAnswer
from apu_contacts.contacts import PartContact
from apu_contacts.keypoints.seen import is_seen
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.sides.belief import FLIP, DistanceModel, SideBelief, has_side, side_prior
from apu_contacts.sides.pair_keypoints import Joints, KeypointPair, NamedPoints, Sides
from apu_contacts.sides.pair_keypoints import part_distance as part_distance
from apu_contacts.sides.pair_keypoints import people_size as people_size
from apu_contacts.sides.posterior import side_posteriors

SideRule = Literal["paper", "posterior"]
Estimates = tuple[Joints | NamedPoints | None, Joints | NamedPoints | None]
"""Bodies estimated of two people: ``joint_names`` and ``joints`` as `InitialEstimate` has them, or ``names``
and ``xyz`` as the start of a person in a scene file (``ScenePerson.initial.joints``)."""

DEFAULT_TAU = 0.25
"""Fall-off of W_ij, in fractions of the two people's size in the picture."""

CLEAR = 0.5
"""Margin from which a decision counts as clear: the best is at least three times as likely as the other."""


@dataclass(frozen=True)
class DenoisedContact(PartContact):
    """A part contact whose sides were chosen with keypoints.

    ``weight`` is W_ij. ``margin`` lies in [0, 1]: how clearly the chosen sides beat the next best; 0 where
    there was nothing to compare.

    Args:
        distance: keypoint distance of the chosen sides over the people's size; NaN where joints are missing.
        stated: the sides as they were told.
        probability: belief in the chosen sides; 1 under the paper's rule.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, PartContact, denoise_chirality
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> (contact,) = denoise_chirality([PartContact("hand", "left", "shoulder", "right")], left, right)
        >>> contact.stated, isinstance(contact, PartContact)
        (('left', 'right'), True)
    """

    distance: float = math.nan
    stated: Sides = ("none", "none")
    probability: float = 1.0

    @property
    def flipped(self) -> bool:
        """The chosen sides differ from those that were told."""
        return (self.side_a, self.side_b) != self.stated

    def _exchanged(self) -> dict[str, Any]:
        return {**super()._exchanged(), "stated": (self.stated[1], self.stated[0])}


class PersonOrder(NamedTuple):
    """Which of two detected people an answer means by its person a.

    Args:
        exchanged: the answer's person a is the second of the two people.
        probability: belief in that decision, 0.5 to 1.
        margin: ``2 * probability - 1``.

    Example:
        >>> from apu_contacts import PersonOrder
        >>> PersonOrder(False, 0.9, 0.8).exchanged
        False
    """

    exchanged: bool
    probability: float
    margin: float

    @property
    def clear(self) -> bool:
        """The margin reaches `CLEAR`. Where it does not, a fit keeps the minimum over both orders (paper,
        section 3.1, implementation details).
        """
        return self.margin >= CLEAR


def denoise_chirality(
    answer: ContactAnswer | Iterable[PartContact],
    keypoints_a: Keypoints2D,
    keypoints_b: Keypoints2D,
    *,
    sides: SideRule = "paper",
    tau: float = DEFAULT_TAU,
    belief: SideBelief | None = None,
    distances: DistanceModel | None = None,
    estimates: Estimates | None = None,
) -> list[DenoisedContact]:
    """Set each contact's sides to those that the keypoints support, and give it the weight W_ij.

    ``sides="paper"`` (section 3.1) believes the model where it says that the two sides are the same or
    opposite and lets only both flip together. ``sides="posterior"`` weighs all four combinations:
    how far stated sides are believed times how likely each keypoint distance is between parts that touch, for
    all contacts of the answer together (`side_posteriors`). So give it whole answers.

    The weight is ``confidence * probability * exp(-d / tau)``, d the keypoint distance of the
    chosen sides over the people's size; the probability is 1 under the paper's rule. Where joints are missing
    the closeness is not known and counts as ``exp(-1)``.

    Parts across the midline (`MIDLINE_PARTS`: chest, stomach, back, waist, neck, head, face) have only
    proxies for their halves. Their side flips together with the other part's, but never alone. ``"both"``
    stays as told. ``"none"`` stays under the paper's rule; the posterior replaces it where the choice is
    clear (`CLEAR`).

    Args:
        answer: an answer, or part contacts; person a is the person on the left of the answer. A contact that
            has ``sides``, as those of `apu_contacts.answers.fuse_answers`, gives a distribution of stated
            sides.
        keypoints_a: of person a, in pixels of the full picture.
        keypoints_b: of person b.
        sides: how they are chosen, as `apu_contacts.ContactPolicy` calls it.
        tau: fall-off of the weight, a fraction of the people's size.
        belief: how far stated sides are believed, for the posterior; the default if None.
        distances: likelihood of keypoint distances, for the posterior; the default if None.
        estimates: bodies estimated of person a and b in one camera frame: the posterior then looks at depths,
            too. Each is a ``PersonDetection.initial`` (anything with ``joint_names`` and ``joints``), or the
            ``initial.joints`` of a scene's person (anything with ``names`` and ``xyz``). Left out where
            either is None.

    Returns:
        one contact per contact given, in the same order.

    Raises:
        ValueError: on unknown ``sides``, a tau that is not above 0, or people without keypoints.
        TypeError: on estimates without named joints.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, PartContact, denoise_chirality
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> (contact,) = denoise_chirality([PartContact("hand", "left", "shoulder", "right")], left, right)
        >>> contact.side_a, contact.side_b, 0 < contact.effective_weight < 1
        ('left', 'right', True)
    """
    if sides not in ("paper", "posterior"):
        raise ValueError(f"sides must be 'paper' or 'posterior', got {sides!r}")
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}")
    contacts = answer.contacts if isinstance(answer, ContactAnswer) else tuple(answer)
    if not contacts:
        return []
    pair = KeypointPair.of(keypoints_a, keypoints_b, estimates)
    if sides == "paper":
        return [_by_paper(contact, pair, tau) for contact in contacts]
    posteriors = side_posteriors(contacts, pair, belief, distances)
    return [_by_posterior(c, pair, tau, found) for c, found in zip(contacts, posteriors, strict=True)]


def _by_paper(contact: PartContact, pair: KeypointPair, tau: float) -> DenoisedContact:
    stated = (contact.side_a, contact.side_b)
    other = (FLIP.get(stated[0], stated[0]), FLIP.get(stated[1], stated[1]))
    # A midline half has nothing but the other part's side to go with.
    limbs = has_side(contact, 0) and FLIP.get(stated[0]), has_side(contact, 1) and FLIP.get(stated[1])
    if not any(limbs) and not all(side in FLIP for side in stated):
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


def _by_posterior(
    contact: PartContact, pair: KeypointPair, tau: float, posterior: Mapping[Sides, float]
) -> DenoisedContact:
    stated = (contact.side_a, contact.side_b)
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
    return _denoised(contact, chosen, pair.distance(contact, chosen)[0], tau, margin, probability)


def _agree(general: Sides, sides: Sides) -> bool:
    return all(g in ("none", s) for g, s in zip(general, sides, strict=True))


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
    *,
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

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, PartContact, person_order
        >>> xy = np.random.default_rng(0).uniform(100, 200, (17, 2))
        >>> left = Keypoints2D("coco17", xy, np.ones(17))
        >>> right = Keypoints2D("coco17", xy + [80.0, 0.0], np.ones(17))
        >>> person_order([PartContact("hand", "left", "shoulder", "right")], left, right).exchanged
        True
    """
    contacts = answer.contacts if isinstance(answer, ContactAnswer) else tuple(answer)
    belief, distances = belief or SideBelief(), distances or DistanceModel()
    given = KeypointPair.of(keypoints_a, keypoints_b)
    log_odds = 0.0
    for contact in contacts:
        evidence = [_evidence(contact, pair, belief, distances) for pair in (given, given.exchanged)]
        if None not in evidence:
            log_odds += contact.confidence * (math.log(evidence[0] or 1.0) - math.log(evidence[1] or 1.0))
    if position:
        offset = (_center(keypoints_b) - _center(keypoints_a)) / (0.5 * given.size)
        log_odds += 3.0 * math.tanh(offset)
    probability = 1 / (1 + math.exp(-abs(log_odds)))
    return PersonOrder(log_odds < 0, probability, 2 * probability - 1)


def _evidence(
    contact: PartContact, pair: KeypointPair, belief: SideBelief, distances: DistanceModel
) -> float | None:
    """Likelihood of a contact between these two people, over the sides that may be meant; None if not
    known.
    """
    total = mass = 0.0
    for sides, p in side_prior(contact, belief).items():
        likelihood = distances.likelihood(*pair.distance(contact, sides))
        if not math.isnan(likelihood):
            total, mass = total + p * likelihood, mass + p
    return total / mass if mass > 0 else None


def _center(keypoints: Keypoints2D) -> float:
    seen = is_seen(keypoints.confidence)
    return float(np.average(keypoints.xy[seen, 0], weights=keypoints.confidence[seen]))
