"""Who is who across files, and which pairs of people may touch."""

from apu_contacts.people.assembling import Assembly, Unmatched, assemble_people
from apu_contacts.people.candidates import propose_pairs
from apu_contacts.people.masks import masks_of_people, order_by_masks
from apu_contacts.people.matching import (
    Match,
    Matching,
    find_duplicates,
    keypoint_distances,
    match_boxes,
    match_people,
)
from apu_contacts.people.merging import merge_keypoints

__all__ = [
    "Assembly",
    "Match",
    "Matching",
    "Unmatched",
    "assemble_people",
    "find_duplicates",
    "keypoint_distances",
    "masks_of_people",
    "match_boxes",
    "match_people",
    "merge_keypoints",
    "order_by_masks",
    "propose_pairs",
]
