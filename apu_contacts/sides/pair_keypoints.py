"""How far two people's body parts are from each other, by their keypoints in one picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contacts import PartContact
from apu_contacts.keypoints.parts import part_keypoints
from apu_contacts.keypoints.seen import SEEN, is_seen
from apu_contacts.keypoints.skeletons import skeleton
from apu_contacts.keypoints.types import Keypoints2D

Sides = tuple[str, str]
Array = NDArray[np.float64]

_HEAD = ("nose", "eye", "ear")
_FOOT = ("toe", "heel")


class Joints(Protocol):
    """Named 3D joints, such as an `apu_contacts.sources.InitialEstimate`."""

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the joints, J of them; those of SMPL."""

    @property
    def joints(self) -> Array:
        """``(J, 3)`` metres, +Z away from the camera."""


class NamedPoints(Protocol):
    """The same under the names that scene files use, such as an `apu_losses.fitting.Joints3D`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the joints, J of them."""

    @property
    def xyz(self) -> Array:
        """``(J, 3)`` metres, +Z away from the camera."""


def _named_joints(estimate: Joints | NamedPoints) -> tuple[tuple[str, ...], Array]:
    """Names and ``(J, 3)`` places of the joints of either form; those of weight 0 are left out."""
    for names_of, places_of in (("joint_names", "joints"), ("names", "xyz")):
        names, places = getattr(estimate, names_of, None), getattr(estimate, places_of, None)
        if names is None or places is None:
            continue
        weights = getattr(estimate, "weights", None)
        used = [i for i in range(len(names)) if weights is None or weights[i] > 0]
        return tuple(names[i] for i in used), places[used]
    hint = "; is its .joints meant?" if hasattr(estimate, "joints") else ""
    raise TypeError(
        "estimates must have joint_names and joints (PersonDetection.initial), or names and xyz "
        f"(ScenePerson.initial.joints), got {type(estimate).__name__}{hint}"
    )


def people_size(keypoints_a: Keypoints2D, keypoints_b: Keypoints2D) -> float:
    """Size of two people in the picture, in pixels: the geometric mean of their keypoint boxes' diagonals.

    Raises:
        ValueError: if a person has fewer than two keypoints that were seen (`is_seen`), or all in one point.
    """
    diagonals = []
    for name, person in (("keypoints_a", keypoints_a), ("keypoints_b", keypoints_b)):
        seen = person.xy[is_seen(person.confidence)]
        diagonal = float(np.linalg.norm(seen.max(0) - seen.min(0))) if len(seen) > 1 else 0.0
        if diagonal == 0.0:
            raise ValueError(
                f"{name} must have two keypoints of confidence {SEEN} or more at different "
                f"places, got "
                f"{len(seen)}; was this person matched to the right detection?"
            )
        diagonals.append(diagonal)
    return math.sqrt(diagonals[0] * diagonals[1])


def part_distance(
    part_a: str, side_a: str, part_b: str, side_b: str, keypoints_a: Keypoints2D, keypoints_b: Keypoints2D
) -> float:
    """Smallest pixel distance between the keypoints of two parts; NaN where either has none detected."""
    rows_a, rows_b = _rows((part_a,), side_a, keypoints_a), _rows((part_b,), side_b, keypoints_b)
    if not len(rows_a) or not len(rows_b):
        return math.nan
    return float(np.linalg.norm(keypoints_a.xy[rows_a][:, None] - keypoints_b.xy[rows_b], axis=-1).min())


def keypoint_depths(keypoints: Keypoints2D, estimate: Joints | NamedPoints) -> Array:
    """``(J,)`` metres: how far away an estimated body has each keypoint; NaN where it has no such joint.

    Points of the head stand where the head does, fingers at the wrist, toes and heel at the ankle, unless
    the estimate has them itself.
    """
    names, places = _named_joints(estimate)
    place = {name: i for i, name in enumerate(names)}
    depths = np.full(len(keypoints.xy), math.nan)
    for row, name in enumerate(skeleton(keypoints.skeleton).joint_names):
        side, _, kind = name.partition("_")
        stand_in = ""
        if name.endswith(_HEAD):
            stand_in = "head"
        elif kind.startswith("hand"):
            stand_in = f"{side}_wrist"
        elif kind.endswith(_FOOT):
            stand_in = f"{side}_ankle"
        found = place.get(name, place.get(stand_in))
        if found is not None:
            depths[row] = places[found][2]
    return depths


@dataclass(frozen=True)
class Gaps:
    """Every pair of keypoints that two parts have: ``(P,)`` each, P = 0 where a part has none detected.

    Attributes:
        distance: in the picture, over the people's size.
        confidence: the lower one of the two keypoints.
        depth: how much further away the first person's is, metres; NaN where it is not known.
    """

    distance: Array
    confidence: Array
    depth: Array

    def nearest(self) -> tuple[float, float]:
        """Distance and confidence of the pair that is nearest in the picture; NaN and 0 if there is none."""
        if not len(self.distance):
            return math.nan, 0.0
        i = int(self.distance.argmin())
        return float(self.distance[i]), float(self.confidence[i])


@dataclass(frozen=True)
class KeypointPair:
    """The keypoints of two people in one picture.

    Args:
        a, b: keypoints of either person.
        size: `people_size`.
        depths: ``(J,)`` of either person, as `keypoint_depths` gives them; None where they are not known.
    """

    a: Keypoints2D
    b: Keypoints2D
    size: float
    depths: tuple[Array, Array] | None = None

    @classmethod
    def of(
        cls,
        a: Keypoints2D,
        b: Keypoints2D,
        estimates: tuple[Joints | NamedPoints | None, Joints | NamedPoints | None] | None = None,
    ) -> KeypointPair:
        """Of two people, and where someone estimated their bodies, of these.

        Raises:
            ValueError: as `people_size`.
            TypeError: on estimates without named joints.
        """
        first, second = estimates or (None, None)
        depths = None
        if first is not None and second is not None:
            depths = keypoint_depths(a, first), keypoint_depths(b, second)
        return cls(a, b, people_size(a, b), depths)

    @property
    def exchanged(self) -> KeypointPair:
        """The same two people in the other order."""
        return KeypointPair(self.b, self.a, self.size, self.depths and (self.depths[1], self.depths[0]))

    def gaps(self, contact: PartContact, sides: Sides) -> Gaps:
        """Between the two parts of a contact, were they on these sides."""
        rows_a = _rows((contact.part_a, *contact.alternatives_a), sides[0], self.a)
        rows_b = _rows((contact.part_b, *contact.alternatives_b), sides[1], self.b)
        apart = np.linalg.norm(self.a.xy[rows_a][:, None] - self.b.xy[rows_b], axis=-1) / self.size
        confidence = np.minimum(self.a.confidence[rows_a][:, None], self.b.confidence[rows_b])
        depth = np.full(apart.shape, math.nan)
        if self.depths is not None:
            depth = self.depths[0][rows_a][:, None] - self.depths[1][rows_b]
        return Gaps(apart.ravel(), confidence.ravel(), depth.ravel())

    def distance(self, contact: PartContact, sides: Sides) -> tuple[float, float]:
        """Smallest distance over size, and the confidence there; NaN and 0 where joints are missing."""
        return self.gaps(contact, sides).nearest()


def _rows(parts: tuple[str, ...], side: str, keypoints: Keypoints2D) -> NDArray[np.int64]:
    names = [name for part in parts for name in part_keypoints(part, side)]
    rows = skeleton(keypoints.skeleton).indices(names)
    found: NDArray[np.int64] = rows[is_seen(keypoints.confidence[rows])]
    return found
