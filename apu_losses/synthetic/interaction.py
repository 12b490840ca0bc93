"""What an interaction is: two base poses, where the people stand, and where they touch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from apu_losses.synthetic.places import PLACES, mirrored_place
from apu_losses.synthetic.poses import Pose

FEET = ("left foot", "right foot")
"""What rests on the floor unless an interaction says otherwise."""


@dataclass(frozen=True)
class Touch:
    """A place of person a that touches a place of person b.

    Args:
        a: one of `PLACES`.
        b: likewise.
        facing: whether the two skins face each other.
    """

    a: str
    b: str
    facing: bool = True

    def __post_init__(self) -> None:
        for name in (self.a, self.b):
            if name not in PLACES:
                raise ValueError(f"{name!r} is no place; see PLACES")

    def mirrored(self) -> Touch:
        """Left and right exchanged."""
        return Touch(mirrored_place(self.a), mirrored_place(self.b), self.facing)


@dataclass(frozen=True)
class Interaction:
    """A type of scene. Person a stands at the origin and looks along z.

    Args:
        meaning: what is seen, in one sentence.
        a: base pose of person a.
        b: of person b.
        place: where b stands in metres, x to a's left and z ahead of a, and b's turn to the left in degrees
            (180 looks at a).
        touches: where they touch; empty: they do not.
        floor_a: what of a rests on the floor: ``"left foot"``, ``"right foot"``, or places.
        floor_b: of b; nothing: b is carried.
        height: metres by which b's lowest point starts above the floor.
        age_a: range of the age coefficient of a (0 adult, 0.39 eight years, 0.58 five years).
        age_b: of b.
        free_a: how freely a leaves the base pose, 1 as usual.
        free_b: likewise.
        clearance: metres that stay between people who do not touch.
    """

    meaning: str
    a: Pose
    b: Pose
    place: tuple[float, float, float]
    touches: tuple[Touch, ...]
    floor_a: tuple[str, ...] = FEET
    floor_b: tuple[str, ...] = FEET
    height: float = 0.0
    age_a: tuple[float, float] = (0.0, 0.0)
    age_b: tuple[float, float] = (0.0, 0.0)
    free_a: float = 1.0
    free_b: float = 1.0
    clearance: float = 0.03

    def mirrored(self) -> Interaction:
        """Return the same with left and right exchanged."""
        x, z, turn = self.place
        return replace(
            self,
            a=self.a.mirrored(),
            b=self.b.mirrored(),
            place=(-x, z, -turn),
            touches=tuple(touch.mirrored() for touch in self.touches),
            floor_a=tuple(mirrored_place(name) for name in self.floor_a),
            floor_b=tuple(mirrored_place(name) for name in self.floor_b),
        )


def touches(*pairs: str) -> tuple[Touch, ...]:
    """Touches written as ``"left palm > right shoulder blade"``, a's place first."""
    found = []
    for pair in pairs:
        a, _, b = pair.partition(" > ")
        found.append(Touch(a, b))
    return tuple(found)
