"""Which keypoints stand for each of the 17 body parts.

The paper chooses the side of a part by the distance between the keypoints of the two parts (section 3.1)
without printing its table; this one is ours.
"""

from __future__ import annotations

from types import MappingProxyType

from apu_contacts.keypoints.skeletons import NUM_HAND

_SIDED: dict[str, tuple[str, ...]] = {
    "hand": ("wrist", *(f"hand_{i}" for i in range(NUM_HAND))),
    "forearm": ("elbow", "wrist"),
    "elbow": ("elbow",),
    "upper arm": ("shoulder", "elbow"),
    "arm": ("shoulder", "elbow", "wrist"),
    "shoulder": ("shoulder",),
    "thigh": ("hip", "knee"),
    "knee": ("knee",),
    "leg": ("hip", "knee", "ankle"),
    "foot": ("ankle", "big_toe", "small_toe", "heel"),
    # Proxies from here on: the nearest keypoints to a part that has none.
    "chest": ("shoulder",),
    "back": ("shoulder", "hip"),
    "stomach": ("hip",),
    "waist": ("hip",),
    "neck": ("shoulder",),
    "head": ("ear", "eye"),
    "face": ("eye",),
}
_MIDLINE: dict[str, tuple[str, ...]] = {"neck": ("neck",), "head": ("nose",), "face": ("nose",)}

MIDLINE_PARTS = frozenset({"chest", "stomach", "back", "waist", "neck", "head", "face"})
"""Parts of trunk and head, each one surface across the midline. No detector has a keypoint on the left and
right of it, so `part_keypoints` gives proxies, good enough to say how far away the part is and not to decide
which side is meant."""

PART_KEYPOINTS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(_SIDED)
"""Part -> joint names without their side."""


def part_keypoints(part: str, side: str = "both") -> tuple[str, ...]:
    """Names of the joints that stand for a body part, of which a skeleton may have only some.

    Hands count their wrist, so that a skeleton without fingers still places them; feet count their ankle. The
    trunk parts take the shoulders (chest, neck), the hips (stomach, waist) or both (back) of their side.
    Neck, head and face take the midline joint (neck, nose) and those of their side.

    Args:
        part: one of the 17 parts, as ``apu_contacts.PARTS`` names them.
        side: ``"left"``, ``"right"``, or ``"both"`` and ``"none"`` for the joints of both sides.

    Returns:
        joint names: left ones first, midline ones last.

    Raises:
        ValueError: on an unknown part or side.

    Example:
        >>> from apu_contacts import part_keypoints
        >>> part_keypoints("forearm", "left")
        ('left_elbow', 'left_wrist')
    """
    if part not in _SIDED:
        raise ValueError(f"part must be one of {', '.join(sorted(_SIDED))}, got {part!r}")
    if side not in ("left", "right", "both", "none"):
        raise ValueError(f"side must be left, right, both or none, got {side!r}")
    sides = (side,) if side in ("left", "right") else ("left", "right")
    return tuple(f"{s}_{joint}" for s in sides for joint in _SIDED[part]) + _MIDLINE.get(part, ())
