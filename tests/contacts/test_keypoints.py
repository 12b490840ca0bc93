"""Skeletons, their conversions and the keypoints of body parts, against the published tables."""

from __future__ import annotations

import numpy as np
import pytest

from apu_contacts.keypoints import (
    MIDLINE_PARTS,
    PART_KEYPOINTS,
    SKELETONS,
    Keypoints2D,
    convert_keypoints,
    keypoint_box,
    mirror,
    mirror_name,
    part_keypoints,
    person_size,
    skeleton,
)
from apu_contacts.regions.table import PARTS

# Published: the BODY_25 slot of each COCO-17 joint, and of the six feet of COCO-WholeBody.
COCO_TO_BODY25 = [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]
FEET_TO_BODY25 = [19, 20, 21, 22, 23, 24]
# Published: the left-right pairs of COCO, and those of the 300-W face for flip augmentation (counted from 1).
COCO_FLIP = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)]
FACE_FLIP_1_BASED = [
    *[(1, 17), (2, 16), (3, 15), (4, 14), (5, 13), (6, 12), (7, 11), (8, 10)],
    *[(18, 27), (19, 26), (20, 25), (21, 24), (22, 23), (32, 36), (33, 35)],
    *[(37, 46), (38, 45), (39, 44), (40, 43), (41, 48), (42, 47)],
    *[(49, 55), (50, 54), (51, 53), (62, 64), (61, 65), (68, 66), (59, 57), (60, 56)],
]


def random_keypoints(name: str, seed: int = 0) -> Keypoints2D:
    generator = np.random.default_rng(seed)
    joints = len(SKELETONS[name])
    return Keypoints2D(name, generator.uniform(0, 500, (joints, 2)), generator.uniform(0.1, 1, joints))


def test_sizes_and_unique_names() -> None:
    sizes = {name: len(s) for name, s in SKELETONS.items()}
    assert sizes == {
        "coco17": 17,
        "coco_wholebody133": 133,
        "body25": 25,
        "halpe26": 26,
        "body25_hands_face": 137,
        "hands": 42,
        "mediapipe33": 33,
    }
    for s in SKELETONS.values():
        assert len(set(s.joint_names)) == len(s)


def test_wholebody_blocks_lie_where_coco_puts_them() -> None:
    names = SKELETONS["coco_wholebody133"].joint_names
    assert names[23] == "face_0" and names[90] == "face_67"
    assert names[91] == "left_hand_0" and names[111] == "left_hand_20" and names[112] == "right_hand_0"


def test_coco_to_body25_is_the_published_table() -> None:
    whole = random_keypoints("coco_wholebody133")
    body = convert_keypoints(whole, "body25")
    assert np.array_equal(body.xy[COCO_TO_BODY25 + FEET_TO_BODY25], whole.xy[:23])
    assert np.array_equal(body.confidence[COCO_TO_BODY25 + FEET_TO_BODY25], whole.confidence[:23])


def test_neck_and_mid_hip_are_midpoints_with_the_lower_confidence() -> None:
    coco = random_keypoints("coco17")
    body = convert_keypoints(coco, "body25")
    assert np.allclose(body.xy[1], coco.xy[5:7].mean(0)) and body.confidence[1] == coco.confidence[5:7].min()
    assert (
        np.allclose(body.xy[8], coco.xy[11:13].mean(0)) and body.confidence[8] == coco.confidence[11:13].min()
    )
    assert (body.confidence[19:] == 0).all() and (body.xy[19:] == 0).all(), "COCO-17 has no feet"


def test_a_midpoint_with_a_missing_side_is_missing() -> None:
    coco = random_keypoints("coco17")
    confidence = coco.confidence.copy()
    confidence[[6, 11]] = 0
    body = convert_keypoints(Keypoints2D("coco17", coco.xy, confidence), "body25")
    assert body.confidence[1] == 0 and body.confidence[8] == 0
    assert (body.xy[[1, 8]] == 0).all()


def test_an_undetected_neck_of_body25_stays_undetected() -> None:
    body = random_keypoints("body25")
    confidence = body.confidence.copy()
    confidence[1] = 0
    full = convert_keypoints(Keypoints2D("body25", body.xy, confidence), "body25_hands_face")
    assert full.confidence[1] == 0


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("coco17", "coco_wholebody133"),
        ("body25", "body25_hands_face"),
        ("coco17", "body25"),
        ("body25", "halpe26"),
    ],
)
def test_there_and_back(small: str, large: str) -> None:
    keypoints = random_keypoints(small)
    back = convert_keypoints(convert_keypoints(keypoints, large), small)
    assert np.array_equal(back.xy, keypoints.xy) and np.array_equal(back.confidence, keypoints.confidence)


def test_halpes_joints_lie_where_it_documents_them() -> None:
    """17 head, 18 neck, 19 hip, then big toes, small toes and heels, the left one first each."""
    names = SKELETONS["halpe26"].joint_names
    assert names[:17] == SKELETONS["coco17"].joint_names and names[17:20] == ("head_top", "neck", "mid_hip")
    assert [names[k] for k in (20, 21, 24, 25)] == [
        "left_big_toe",
        "right_big_toe",
        "left_heel",
        "right_heel",
    ]
    assert SKELETONS["halpe26"].mirror[17:] == (17, 18, 19, 21, 20, 23, 22, 25, 24)


def test_mirror_tables_are_the_published_ones() -> None:
    assert SKELETONS["coco17"].mirror == tuple(np.array(flip_table(17, COCO_FLIP)))
    face = SKELETONS["coco_wholebody133"].mirror[23:91]
    assert tuple(m - 23 for m in face) == tuple(
        flip_table(68, [(a - 1, b - 1) for a, b in FACE_FLIP_1_BASED])
    )


def flip_table(size: int, pairs: list[tuple[int, int]]) -> list[int]:
    table = list(range(size))
    for a, b in pairs:
        table[a], table[b] = b, a
    return table


@pytest.mark.parametrize("name", list(SKELETONS))
def test_mirror_is_an_involution(name: str) -> None:
    table = np.array(SKELETONS[name].mirror)
    assert np.array_equal(table[table], np.arange(len(table)))
    keypoints = random_keypoints(name)
    twice = mirror(mirror(keypoints, 640), 640)
    assert np.allclose(twice.xy, keypoints.xy) and np.array_equal(twice.confidence, keypoints.confidence)


def test_mirror_moves_the_left_wrist_to_the_right() -> None:
    xy, confidence = np.zeros((25, 2)), np.zeros(25)
    xy[7], confidence[7] = (100, 50), 0.8  # left wrist
    flipped = mirror(Keypoints2D("body25", xy, confidence), 640)
    assert flipped.xy[4].tolist() == [540, 50] and flipped.confidence[4] == 0.8
    assert flipped.confidence[7] == 0 and flipped.xy[7].tolist() == [0, 0], "missing joints do not move"


def test_wrong_number_of_joints_and_unknown_skeletons_are_named() -> None:
    with pytest.raises(ValueError, match=r"'body25' must have 25 joints, got 18"):
        convert_keypoints(Keypoints2D("body25", np.zeros((18, 2)), np.zeros(18)), "coco17")
    with pytest.raises(ValueError, match=r"skeleton must be one of coco17, .*got 'mpii'"):
        skeleton("mpii")


def test_every_part_has_keypoints_and_every_name_exists() -> None:
    assert set(PART_KEYPOINTS) == set(PARTS)
    known = {name for s in SKELETONS.values() for name in s.joint_names}
    for part in PARTS:
        for side in ("left", "right", "both", "none"):
            names = part_keypoints(part, side)
            assert names and len(set(names)) == len(names)
            assert set(names) <= known, (part, side)
        # with the plainest detector every part has at least one point
        assert set(part_keypoints(part, "left")) & set(SKELETONS["coco17"].joint_names)


def test_sides_of_a_part_mirror_each_other() -> None:
    for part in PARTS:
        left, right = part_keypoints(part, "left"), part_keypoints(part, "right")
        assert {mirror_name(name) for name in left} == set(right)
        assert (
            set(part_keypoints(part, "both")) == set(left) | set(right) == set(part_keypoints(part, "none"))
        )
    assert part_keypoints("elbow", "left") == ("left_elbow",)
    assert part_keypoints("upper arm", "right") == ("right_shoulder", "right_elbow")
    assert set(PARTS) >= MIDLINE_PARTS


def test_unknown_part_and_side() -> None:
    with pytest.raises(ValueError, match="part must be one of"):
        part_keypoints("butt", "left")
    with pytest.raises(ValueError, match="side must be"):
        part_keypoints("hand", "center")


def test_box_and_size_ignore_missing_joints() -> None:
    xy, confidence = np.zeros((17, 2)), np.zeros(17)
    assert keypoint_box(Keypoints2D("coco17", xy, confidence)) is None
    assert person_size(Keypoints2D("coco17", xy, confidence)) == 0
    xy[3], xy[9], confidence[3], confidence[9] = (10, 20), (40, 60), 0.5, 0.1
    keypoints = Keypoints2D("coco17", xy, confidence)
    box = keypoint_box(keypoints, min_confidence=0.1)
    assert box is not None and box.tolist() == [10, 20, 40, 60]
    assert person_size(keypoints, min_confidence=0) == 50
    assert person_size(keypoints) == 0  # one was seen, the other is a guess


def test_indices_leave_out_what_the_skeleton_lacks() -> None:
    assert SKELETONS["coco17"].indices(part_keypoints("hand", "left")).tolist() == [9]
    assert len(SKELETONS["coco_wholebody133"].indices(part_keypoints("hand", "left"))) == 22
