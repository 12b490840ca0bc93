"""Which side of a body part is meant, decided with 2D keypoints; and which person is meant.

Vision language models mix up the left and right of the picture with the left and right of the body (paper,
section 3.1, "Contact map denoising"). Keypoint detectors are better at it, so each contact's sides are set to the
combination whose keypoints lie close to each other in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

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

_FLIP = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class DenoisedContact(PartContact):
    """A part contact whose sides were chosen with keypoints.

    ``weight`` is W_ij. ``margin`` lies in [0, 1]: how clearly the chosen sides beat the next best; 0 where there was
    nothing to compare.

    Args:
        distance: keypoint distance of the chosen sides over the people's size; NaN where joints are missing.
        stated: the sides as they were told.
        probability: belief in the chosen sides: 1 under the paper's rule.
    """

    distance: float = math.nan
    stated: Sides = ("none", "none")
    probability: float = 1.0

    @property
    def flipped(self) -> bool:
        """The chosen sides differ from those that were told."""
        return (self.side_a, self.side_b) != self.stated


def people_size(keypoints_a: Keypoints2D, keypoints_b: Keypoints2D) -> float:
    """Size of two people in the picture: the geometric mean of the diagonals of their keypoint boxes, in pixels.

    Raises:
        ValueError: if a person has fewer than two keypoints above `MIN_CONFIDENCE`, or all in one point.
    """
    diagonals = []
    for name, person in (("keypoints_a", keypoints_a), ("keypoints_b", keypoints_b)):
        seen = person.xy[person.confidence >= MIN_CONFIDENCE]
        diagonal = float(np.linalg.norm(seen.max(0) - seen.min(0))) if len(seen) > 1 else 0.0
        if diagonal == 0.0:
            raise ValueError(
                f"{name} must have at least two keypoints of confidence {MIN_CONFIDENCE} or more at different places, "
                f"got {len(seen)}; was this person matched to the right detection?"
            )
        diagonals.append(diagonal)
    return math.sqrt(diagonals[0] * diagonals[1])


def part_distance(
    part_a: str, side_a: str, part_b: str, side_b: str, keypoints_a: Keypoints2D, keypoints_b: Keypoints2D
) -> float:
    """Smallest pixel distance between the keypoints of two parts; NaN if either has none that was detected."""
    points_a = _part_points(part_a, side_a, keypoints_a)
    points_b = _part_points(part_b, side_b, keypoints_b)
    if not len(points_a) or not len(points_b):
        return math.nan
    return float(np.linalg.norm(points_a[:, None] - points_b[None], axis=-1).min())


def _part_points(part: str, side: str, keypoints: Keypoints2D) -> NDArray[np.float64]:
    rows = skeleton(keypoints.skeleton).indices(part_keypoints(part, side))
    rows = rows[keypoints.confidence[rows] >= MIN_CONFIDENCE]
    points: NDArray[np.float64] = keypoints.xy[rows]
    return points


def denoise_chirality(
    answer: ContactAnswer | Iterable[PartContact],
    keypoints_a: Keypoints2D,
    keypoints_b: Keypoints2D,
    rule: Rule = "paper",
    tau: float = DEFAULT_TAU,
) -> list[DenoisedContact]:
    """Sets each contact's sides to those that the keypoints support, and gives it the weight W_ij.

    ``rule="paper"`` (section 3.1) believes the model where it says that the two sides are the same or opposite and
    lets only both sides flip together. The weight is ``confidence * exp(-d / tau)``, d the keypoint distance of
    the chosen sides over the people's size (design 4.3).

    Sides of `MIDLINE_PARTS`, which no detector has keypoints for, and the sides ``"both"`` and ``"none"`` stay as told.

    Args:
        answer: an answer, or part contacts; person a is the person on the left of the answer.
        keypoints_a: of person a, in pixels of the full picture.
        keypoints_b: of person b.
        rule: how sides are chosen.
        tau: fall-off of the weight, a fraction of the people's size.

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
    size = people_size(keypoints_a, keypoints_b)
    return [_by_paper(contact, keypoints_a, keypoints_b, size, tau) for contact in contacts]


def _flipped(part: str, side: str) -> str:
    return side if part in MIDLINE_PARTS else _FLIP.get(side, side)


def _by_paper(
    contact: PartContact, keypoints_a: Keypoints2D, keypoints_b: Keypoints2D, size: float, tau: float
) -> DenoisedContact:
    stated = (contact.side_a, contact.side_b)
    other = (_flipped(contact.part_a, contact.side_a), _flipped(contact.part_b, contact.side_b))
    distances = {
        sides: part_distance(contact.part_a, sides[0], contact.part_b, sides[1], keypoints_a, keypoints_b)
        / size
        for sides in (stated, other)
    }
    chosen = other if distances[other] < distances[stated] else stated
    return _denoised(contact, chosen, distances, tau, _distance_margin(distances), 1.0)


def _distance_margin(distances: Mapping[Sides, float]) -> float:
    """(second - first) / (second + first) of the two smallest distances; 0 if there is one, or one is missing."""
    values = sorted(distances.values())
    if len(values) < 2 or any(math.isnan(value) for value in values) or values[1] == 0.0:
        return 0.0
    return (values[1] - values[0]) / (values[1] + values[0])


def _denoised(
    contact: PartContact,
    chosen: Sides,
    distances: Mapping[Sides, float],
    tau: float,
    margin: float,
    probability: float,
) -> DenoisedContact:
    distance = distances[chosen]
    # Joints that are missing say nothing about distance: the weight is then what the model's confidence alone gives.
    closeness = 1.0 if math.isnan(distance) else math.exp(-distance / tau)
    return DenoisedContact(
        contact.part_a,
        chosen[0],
        contact.part_b,
        chosen[1],
        contact.confidence,
        weight=contact.confidence * probability * closeness,
        margin=margin,
        distance=distance,
        stated=(contact.side_a, contact.side_b),
        probability=probability,
    )
