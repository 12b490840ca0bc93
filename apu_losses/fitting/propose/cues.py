"""What depth maps and masks of a picture say of the people of its scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from apu_contacts.people.masks import masks_of_people, order_by_masks
from apu_contacts.sources.depth_maps import depths_at, read_depth_map
from apu_contacts.sources.masks import PersonMask, read_masks
from apu_losses.fitting.scene.types import Scene

CUE_KINDS = ("depth", "masks")
"""Files that say more of a picture: a depth map, and masks of its people (a file, or a folder of them)."""


def with_cues(scene: Scene, files: Mapping[str, Path]) -> Scene:
    """Return a scene with what a depth map shows at each keypoint, and who hides whom by masks.

    Masks are given to people by where keypoints lie; those of nobody are left alone. A person's mask also
    says which pixels of the depth map are theirs.

    Args:
        scene: of one picture.
        files: kind (one of `CUE_KINDS`, others are not looked at) -> file.

    Raises:
        SourceError: a file that cannot be read, or a map of other proportions than the picture.
    """
    size, people = (scene.width, scene.height), list(scene.people)
    keypoints = [person.keypoints for person in people]
    masks: list[PersonMask | None] = [None] * len(people)
    order = list(scene.depth_order)
    if "masks" in files:
        masks = masks_of_people(read_masks(files["masks"]), keypoints, *size)
        order += [pair for pair in order_by_masks(masks, keypoints, *size) if pair not in order]
    if "depth" in files:
        depth = read_depth_map(files["depth"])
        people = [
            replace(person, depths=depths_at(depth, person.keypoints, *size, mask))
            for person, mask in zip(people, masks, strict=True)
        ]
    return replace(scene, people=people, depth_order=order)
