"""Whose mask is whose, and who hides whom by masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.sources.masks import PersonMask

_OWN = 0.5
"""Share of a person's keypoints that their own mask holds at least."""
SURPLUS = 2
"""Keypoints more that one hides of the other than the other way round; chosen with occluded keypoints
(docs/measurements/keypoint_starts.md), where a surplus of 1 is wrong in one case of four."""


def masks_of_people(
    masks: Sequence[PersonMask], people: Sequence[Keypoints2D], width: int, height: int
) -> list[PersonMask | None]:
    """Return the mask of each person, by where their keypoints lie; None for whom there is none.

    Args:
        masks: of anybody and anything, in any order.
        people: keypoints in pixels of the picture.
        width, height: of the picture.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, PersonMask, masks_of_people
        >>> right = PersonMask.from_array(np.tile([0, 1], (2, 1)))
        >>> seen = [Keypoints2D("coco17", np.full((17, 2), x), np.ones(17)) for x in (10.0, 90.0)]
        >>> [mask is right for mask in masks_of_people([right], seen, 100, 100)]
        [False, True]
    """
    found: list[PersonMask | None] = [None] * len(people)
    if not masks or not people:
        return found
    share = np.zeros((len(people), len(masks)))
    for number, person in enumerate(people):
        weight = np.where(person.valid, person.confidence, 0.0)
        for other, mask in enumerate(masks):
            held = mask.holds(person.xy, width, height)
            share[number, other] = (weight * held).sum() / max(weight.sum(), 1e-9)
    for number, other in zip(*linear_sum_assignment(-share), strict=True):
        if share[number, other] >= _OWN:
            found[number] = masks[other]
    return found


def order_by_masks(
    masks: Sequence[PersonMask | None],
    people: Sequence[Keypoints2D],
    width: int,
    height: int,
    *,
    surplus: int = SURPLUS,
) -> list[tuple[int, int]]:
    """Return pairs ``(nearer, farther)`` of people: whose mask lies where the other's joints are hides them.

    A joint counts where the detector put it, sure or not, if the other's mask holds it and its own does not.

    Args:
        masks: of the people, None where there is none.
        people: keypoints in pixels of the picture.
        width, height: of the picture.
        surplus: joints that one hides more than the other does.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import Keypoints2D, PersonMask, order_by_masks
        >>> near = PersonMask.from_array(np.array([[0, 1, 1, 0]]))
        >>> far = PersonMask.from_array(np.array([[1, 0, 0, 1]]))
        >>> xs = np.linspace(5, 95, 17)
        >>> behind = Keypoints2D("coco17", np.stack([xs, np.full(17, 50.0)], 1), np.ones(17))
        >>> before = Keypoints2D("coco17", np.full((17, 2), 50.0), np.ones(17))
        >>> order_by_masks([far, near], [behind, before], 100, 100)
        [(1, 0)]
    """
    known = [number for number, mask in enumerate(masks) if mask is not None]
    hidden = np.zeros((len(people), len(people)), dtype=np.int64)
    for number in known:
        person, own = people[number], masks[number]
        assert own is not None
        outside = person.valid & ~own.holds(person.xy, width, height)
        for other in known:
            mask = masks[other]
            if other != number and mask is not None:
                hidden[other, number] = (outside & mask.holds(person.xy, width, height)).sum()
    return [
        (near, far)
        for near in known
        for far in known
        if near != far and hidden[near, far] >= hidden[far, near] + surplus
    ]
