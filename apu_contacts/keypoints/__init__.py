"""Skeletons (COCO-17, COCO-WholeBody-133, BODY_25), conversions, and which keypoints stand for a part."""

from apu_contacts.keypoints.conversion import convert_keypoints, mirror
from apu_contacts.keypoints.extent import keypoint_box, person_size
from apu_contacts.keypoints.parts import MIDLINE_PARTS, PART_KEYPOINTS, part_keypoints
from apu_contacts.keypoints.seen import SEEN, is_seen
from apu_contacts.keypoints.skeletons import SKELETONS, Skeleton, mirror_name, skeleton
from apu_contacts.keypoints.types import Keypoints2D

__all__ = [
    "MIDLINE_PARTS",
    "PART_KEYPOINTS",
    "SEEN",
    "SKELETONS",
    "Keypoints2D",
    "Skeleton",
    "convert_keypoints",
    "is_seen",
    "keypoint_box",
    "mirror",
    "mirror_name",
    "part_keypoints",
    "person_size",
    "skeleton",
]
