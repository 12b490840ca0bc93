"""What contacts say of depth: parts that touch are equally far from the camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.regions import RegionMap
from apu_losses.fitting.scene.types import SceneContact

Array = NDArray[np.float64]

_ACROSS = 0.3
"""Metres: parts that the picture shows farther apart than this do not touch, whatever was said (development
types)."""


class DepthLink(NamedTuple):
    """Two parts that touch.

    Attributes:
        first, second: people.
        depths: metres, of the part of each.
        weight: of the contact.
    """

    first: int
    second: int
    depths: tuple[float, float]
    weight: float


def depth_links(
    contacts: Sequence[SceneContact], vertices: Array, regions: RegionMap, order: Sequence[int]
) -> list[DepthLink]:
    """Return a link for each contact of parts that the picture lets touch.

    Of the region pairs of a contact the one whose middles are nearest across the picture counts: along the
    line of sight nothing is known yet.

    Args:
        contacts: of people by their position in ``order``.
        vertices: ``(P, V, 3)`` metres, camera frame, of bodies of mean size.
        order: which person of the contacts each row of ``vertices`` is.
    """
    row = {person: i for i, person in enumerate(order)}
    links = []
    for contact in contacts:
        pair = contact.person_a, contact.person_b
        if pair[0] == pair[1] or not set(pair) <= set(row) or contact.order == "either":
            continue
        first, second = (vertices[row[person]] for person in pair)
        for group in contact.contacts.groups():
            a, b = _middles(first, regions, group.regions_a), _middles(second, regions, group.regions_b)
            # where each would be at the mean of both depths
            depth = (a[:, None, 2] + b[None, :, 2]) / 2
            rays = a[:, None, :2] / a[:, None, 2:] - b[None, :, :2] / b[None, :, 2:]
            across = np.linalg.norm(rays, axis=2) * depth
            i, j = np.unravel_index(across.argmin(), across.shape)
            if across[i, j] <= _ACROSS and group.weight > 0:
                depths = float(a[i, 2]), float(b[j, 2])
                links.append(DepthLink(row[pair[0]], row[pair[1]], depths, float(group.weight)))
    return links


def _middles(vertices: Array, regions: RegionMap, which: Sequence[int]) -> Array:
    return np.stack([vertices[regions.vertices(region)].mean(0) for region in which])


def overlapping(people: Sequence[Keypoints2D], share: float) -> list[tuple[int, int]]:
    """Return pairs of people whose boxes overlap by at least this share of the smaller one's area.

    Args:
        people: in BODY_25 order, one picture.
    """
    boxes = []
    for keypoints in people:
        seen = keypoints.xy[keypoints.confidence > 0]
        boxes.append((seen.min(0), seen.max(0)))
    found = []
    for one in range(len(boxes)):
        for other in range(one + 1, len(boxes)):
            (low_a, high_a), (low_b, high_b) = boxes[one], boxes[other]
            common = float(np.prod((np.minimum(high_a, high_b) - np.maximum(low_a, low_b)).clip(0)))
            smaller = min(float(np.prod(high_a - low_a)), float(np.prod(high_b - low_b)))
            if common > 0 and common >= share * smaller:
                found.append((one, other))
    return found
