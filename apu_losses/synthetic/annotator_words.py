"""The simulated annotator's own words: how it calls a place, which parts it takes for neighbours.

It starts from the places of `IntendedContact` ("left palm", "upper back") and knows nothing of the 75
regions, of `PART_KEYPOINTS` or of how a part is expanded: a table of the fitter's, read backwards, would give
answers that are right by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_PLACES_BY_PART: Mapping[str, str] = {
    "hand": "palm, fingers, fingertips, back of hand, knuckles, thumb side of hand, thumb, hand, fist",
    "forearm": "wrist, inner wrist, forearm, inner forearm, thumb side of forearm",
    "elbow": "elbow, crook of arm",
    "upper arm": "outer upper arm, inner upper arm, biceps, back of upper arm, upper arm",
    "shoulder": "top of shoulder, point of shoulder, front of shoulder, shoulder",
    "back": "shoulder blade, small of back, upper back, middle back, lower back, back",
    "chest": "chest, breastbone",
    "stomach": "belly, belly side, stomach",
    "waist": "flank, waist, hip, buttock, sit bone, tailbone",
    "thigh": "thigh, outer thigh, inner thigh, back of thigh, lap",
    "knee": "knee, back of knee",
    "leg": "shin, calf, ankle",
    "foot": "instep, heel, ball of foot, little toe ball, big toe ball, middle of sole, sole, toes, foot",
    "head": "ear, temple, crown, back of head, head",
    "face": "cheek, forehead, nose, mouth, chin, face",
    "neck": "side of neck, nape, neck",
}
PART_OF_PLACE: Mapping[str, str] = {
    place.strip(): part for part, places in _PLACES_BY_PART.items() for place in places.split(",")
}
"""What the annotator calls each place, without its side."""

NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "hand": ("forearm", "arm"),
    "forearm": ("hand", "arm", "elbow"),
    "elbow": ("forearm", "upper arm", "arm"),
    "upper arm": ("shoulder", "arm", "elbow"),
    "arm": ("forearm", "upper arm"),
    "shoulder": ("upper arm", "back", "chest"),
    "back": ("shoulder", "waist"),
    "chest": ("stomach", "shoulder"),
    "stomach": ("waist", "chest"),
    "waist": ("back", "stomach", "thigh"),
    "thigh": ("leg", "waist", "knee"),
    "knee": ("leg", "thigh"),
    "leg": ("foot", "thigh", "knee"),
    "foot": ("leg",),
    "head": ("face", "neck"),
    "face": ("head", "neck"),
    "neck": ("shoulder", "head"),
}
"""The parts that a careless look takes for each other."""

TRUNK_AND_HEAD = frozenset({"chest", "stomach", "back", "waist", "neck", "head", "face"})
"""Parts of which people rarely say a side."""

INVENTED_TOUCHING = ("hand", "hand", "hand", "arm", "shoulder", "chest", "head")
"""Parts that an invented contact touches with: models think of hands first."""

FREE_WORDS: Mapping[str, str] = {
    "hand": "palm",
    "stomach": "belly",
    "back": "lower back",
    "face": "cheek",
    "waist": "hip",
    "thigh": "upper leg",
    "leg": "shin",
    "foot": "heel",
    "upper arm": "biceps",
    "head": "hair",
}
"""How a model that keeps to no list of parts says some of them."""


class Side(NamedTuple):
    """A place in the annotator's words: its part, and its side, ``""`` where the place has none."""

    part: str
    side: str


def part_of(place: str) -> Side:
    """Return the part and the side of a place such as ``"left palm"`` or ``"upper back"``.

    Raises:
        KeyError: a place that the annotator has no word for.
    """
    first, _, rest = place.partition(" ")
    side, name = (first, rest) if first in ("left", "right") else ("", place)
    if name not in PART_OF_PLACE:
        raise KeyError(f"the annotator has no word for the place {place!r}; add it to annotator_words.py")
    return Side(PART_OF_PLACE[name], side)
