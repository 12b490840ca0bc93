"""Who is who across files: against brute force, on crowds with known truth, and on the real files."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from apu_contacts.keypoints import SKELETONS, Keypoints2D, convert_keypoints
from apu_contacts.people import (
    assemble_people,
    find_duplicates,
    keypoint_distances,
    match_boxes,
    match_people,
    merge_keypoints,
)
from apu_contacts.people.matching import MAX_DISTANCE
from apu_contacts.sources import read_bev, read_flickr_signatures, read_openpose, read_vitpose_body25

INDEX = SKELETONS["body25"].index
# A standing person in BODY_25, height 1, feet on y = 1.
POSE = np.array(
    [
        *[
            (0, 0.1),
            (0, 0.18),
            (-0.1, 0.18),
            (-0.14, 0.34),
            (-0.14, 0.5),
            (0.1, 0.18),
            (0.14, 0.34),
            (0.14, 0.5),
        ],
        *[(0, 0.5), (-0.06, 0.5), (-0.07, 0.73), (-0.07, 0.95), (0.06, 0.5), (0.07, 0.73), (0.07, 0.95)],
        *[(-0.02, 0.08), (0.02, 0.08), (-0.04, 0.09), (0.04, 0.09)],
        *[(0.09, 1), (0.12, 0.99), (0.07, 0.98), (-0.09, 1), (-0.12, 0.99), (-0.07, 0.98)],
    ]
)


def crowd(count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """People of 80 to 300 pixels who overlap each other, their poses varied by a tenth of their size."""
    people = []
    for _ in range(count):
        size = generator.uniform(80, 300)
        place = generator.uniform([0, 0], [1200, 400])
        people.append((POSE + generator.normal(0, 0.05, POSE.shape)) * size + place)
    return people


def detect(
    person: np.ndarray, generator: np.random.Generator, noise: float = 0.01, missing: float = 0.0
) -> Keypoints2D:
    size = np.ptp(person[:, 1])
    xy = person + generator.normal(0, noise * size, person.shape)
    confidence = np.where(generator.random(25) < missing, 0, generator.uniform(0.4, 1, 25))
    return Keypoints2D("body25", np.where(confidence[:, None] > 0, xy, 0), confidence)


def at(*places: float, height: float = 100.0) -> list[Keypoints2D]:
    """Identical people at these x positions."""
    return [Keypoints2D("body25", POSE * height + [x, 0], np.ones(25)) for x in places]


def test_distance_in_closed_form() -> None:
    (a,), (b,) = at(0), at(30)
    height, width = np.ptp(POSE[:, 1]) * 100, np.ptp(POSE[:, 0]) * 100
    distance, common = keypoint_distances([a], [b])
    assert distance[0, 0] == pytest.approx(30 / np.hypot(height, width)) and common[0, 0] == 25


def test_distance_does_not_depend_on_the_image_scale() -> None:
    small = keypoint_distances(at(0, 10), at(5, 40))[0]
    large = keypoint_distances(at(0, 100, height=1000), at(50, 400, height=1000))[0]
    assert np.allclose(small, large)


def test_only_common_joints_count() -> None:
    (a,), (b,) = at(0), at(0)
    confidence = np.ones(25)
    confidence[5:] = 0.1  # below the threshold
    xy = np.where(confidence[:, None] < 0.3, 9999.0, b.xy)
    distance, common = keypoint_distances([a], [Keypoints2D("body25", xy, confidence)])
    assert distance[0, 0] == 0 and common[0, 0] == 5


def test_missing_joints_do_not_make_a_person_large() -> None:
    (a,), (b,) = at(500), at(530)
    confidence = np.ones(25)
    confidence[3] = 0
    hidden = Keypoints2D("body25", np.where(confidence[:, None] > 0, a.xy, 0), confidence)
    for least in (0.0, 0.3, 1.0):
        distance = keypoint_distances([hidden], [b], min_confidence=least)[0][0, 0]
        assert distance == pytest.approx(keypoint_distances([a], [b])[0][0, 0])


def test_other_skeletons_are_compared_in_body25() -> None:
    generator = np.random.default_rng(0)
    body = detect(crowd(1, generator)[0], generator)
    distance, common = keypoint_distances([body], [convert_keypoints(body, "coco17")])
    # neck and mid hip are midpoints in COCO; every other joint is the same
    assert common[0, 0] == 19 and distance[0, 0] < 0.02


def test_assignment_is_the_best_of_all_that_exist() -> None:
    """Against every partial one-to-one assignment of small crowds."""
    generator = np.random.default_rng(1)
    for _ in range(30):
        people = crowd(5, generator)
        a = [detect(p, generator, 0.06) for p in people[: generator.integers(1, 6)]]
        b = [detect(p, generator, 0.06) for p in people[generator.integers(0, 3) :]]
        distance, _ = keypoint_distances(a, b)
        limit = 0.5
        found = match_people(a, b, max_distance=limit)
        short = distance.T if len(a) > len(b) else distance
        padded = np.concatenate([short, np.full((len(short), len(short)), limit)], 1)
        best = min(
            sum(padded[i, j] for i, j in enumerate(choice))
            for choice in itertools.permutations(range(padded.shape[1]), len(short))
            if all(padded[i, j] <= limit for i, j in enumerate(choice))
        )
        total = sum(m.distance for m in found.matches) + limit * (len(short) - len(found.matches))
        assert total == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_thirty_people_with_missing_joints_and_strangers(seed: int) -> None:
    generator = np.random.default_rng(seed)
    people = crowd(30, generator)
    order = generator.permutation(30)
    a = [detect(p, generator, 0.02, missing=0.4) for p in people]
    b = [detect(people[i], generator, 0.02, missing=0.3) for i in order[:25]]  # 5 people are not in b
    found = match_people(a, b)
    truth = {int(person): place for place, person in enumerate(order[:25])}
    assert {m.index_a: m.index_b for m in found.matches} == truth
    assert set(found.unmatched_a) == set(range(30)) - set(truth) and not found.unmatched_b
    assert all(
        "above 0.15" in why or "too few" in why or "better match" in why for why in found.unmatched_a.values()
    )


@pytest.mark.parametrize("seed", range(5))
def test_thirty_people_some_of_them_detected_twice(seed: int) -> None:
    """Each person is matched once, by the better of the two records; the other is left with its reason."""
    generator = np.random.default_rng(100 + seed)
    people = crowd(30, generator)
    a = [detect(p, generator, 0.002, missing=0.3) for p in people]
    a += [detect(people[i], generator, 0.03, missing=0.3) for i in range(8)]  # once more, and worse
    b = [detect(p, generator, 0.002, missing=0.3) for p in people]
    found = match_people(a, b)
    assert {m.index_a: m.index_b for m in found.matches} == {i: i for i in range(30)}
    assert set(found.unmatched_a) == set(range(30, 38)) and not found.unmatched_b
    assert all("better match" in why for why in found.unmatched_a.values())
    doubled = [m.margin for m in found.matches if m.index_a < 8]
    clear = [m.margin for m in found.matches if m.index_a >= 8]
    assert min(*doubled, *clear) > 0 and np.mean(doubled) < np.mean(clear)
    twice = {frozenset(pair[:2]) for pair in find_duplicates(a)}
    assert {frozenset((i, 30 + i)) for i in range(8)} <= twice


def test_a_greedy_choice_would_be_wrong() -> None:
    # b0 lies between a0 and a1 and is nearer to a0; but a0 has b1 as well, and a1 has only b0.
    found = match_people(at(0, 12), at(5, -4))
    assert [(m.index_a, m.index_b) for m in found.matches] == [(0, 1), (1, 0)]


def test_a_poor_match_is_not_bought_with_a_good_one() -> None:
    # pairing everybody would cost 0.14 + 0.14; the exact pair alone costs 0 and one threshold
    size = np.hypot(np.ptp(POSE[:, 0]), np.ptp(POSE[:, 1])) * 100
    step = 0.14 * size
    found = match_people(at(0, -step), at(0, step))
    assert [(m.index_a, m.index_b) for m in found.matches] == [(0, 0)]


def test_the_margin_is_what_forbidding_the_match_costs() -> None:
    alone = match_people(at(0), at(2)).matches[0]
    assert alone.margin == pytest.approx(MAX_DISTANCE - alone.distance)
    twins = match_people(at(0, 0), at(0, 0))
    assert len(twins.matches) == 2 and all(m.margin == pytest.approx(0) for m in twins.matches)
    rival = match_people(at(0, 6), at(0))
    assert rival.matches[0].index_a == 0
    assert rival.matches[0].margin == pytest.approx(keypoint_distances(at(6), at(0))[0][0, 0])


def test_a_duplicate_detection_is_left_alone_with_its_reason() -> None:
    found = match_people(at(0, 3), at(0))
    assert "person 0 at 0.03, is a better match for person 0 at 0.00" in found.unmatched_a[1]
    assert "detected twice" in found.unmatched_a[1]


def test_reasons() -> None:
    far = match_people(at(0), at(500))
    assert "the nearest, person 0, is 5.20" in far.unmatched_a[0] and "above 0.15" in far.unmatched_b[0]
    assert match_people(at(0), []).unmatched_a == {0: "there is nobody to match with"}
    assert match_people([], []).matches == ()
    few = Keypoints2D("body25", POSE, np.where(np.arange(25) < 2, 1.0, 0.0))
    assert "too few joints" in match_people([few], at(0)).unmatched_a[0]
    nobody = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    assert match_people([nobody, *at(0)], at(0)).of_a(1) is not None


def test_thresholds_are_checked() -> None:
    with pytest.raises(ValueError, match="max_distance"):
        match_people([], [], max_distance=0)
    with pytest.raises(ValueError, match="min_common"):
        match_people([], [], min_common=0)


def test_the_same_input_gives_the_same_matching_in_any_order() -> None:
    generator = np.random.default_rng(3)
    people = crowd(8, generator)
    a, b = ([detect(p, generator) for p in people] for _ in range(2))
    forward = {(m.index_a, m.index_b) for m in match_people(a, b).matches}
    backward = {(7 - m.index_a, 7 - m.index_b) for m in match_people(a[::-1], b[::-1]).matches}
    swapped = {(m.index_b, m.index_a) for m in match_people(b, a).matches}
    assert forward == backward == swapped


# Boxes


def test_boxes_by_overlap() -> None:
    people = at(0, 200)
    boxes = [[*(p.xy.min(0) - 5), *(p.xy.max(0) + 5)] for p in people[::-1]] + [[900, 900, 950, 999]]
    found = match_boxes(boxes, people)
    assert [(m.index_a, m.index_b) for m in found.matches] == [(0, 1), (1, 0)]
    x0, y0, x1, y1 = *people[0].xy.min(0), *people[0].xy.max(0)
    area = (x1 - x0) * (y1 - y0)
    assert 1 - found.matches[1].distance == pytest.approx(area / ((x1 - x0 + 10) * (y1 - y0 + 10)))
    assert "IoU of 0.00" in found.unmatched_a[2]


def test_boxes_are_checked() -> None:
    with pytest.raises(ValueError, match="x, y, width, height"):
        match_boxes([[100, 100, 20, 40]], at(0))
    with pytest.raises(ValueError, match=r"shape \(B, 4\)"):
        match_boxes([[0, 0, 1]], at(0))
    nobody = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    assert match_boxes([[0, 0, 1, 1]], [nobody]).matches == ()


# Merging


def two_detections(toe: float = 0.0, shift: float = 0.0) -> tuple[Keypoints2D, Keypoints2D]:
    """ViTPose without feet (or with a left big toe of this confidence), OpenPose complete and moved by
    ``shift``.
    """
    confidence = np.ones(25)
    confidence[19:] = 0
    confidence[19] = toe
    xy = np.where(confidence[:, None] > 0, POSE * 200, 0)
    return Keypoints2D("body25", xy, confidence), Keypoints2D(
        "body25", POSE * 200 + [shift, 0], np.full(25, 0.7)
    )


def test_merge_takes_the_big_toes_of_openpose() -> None:
    vitpose, openpose = two_detections(shift=2)
    merged = merge_keypoints(vitpose, openpose)
    toes = [INDEX["left_big_toe"], INDEX["right_big_toe"]]
    assert np.array_equal(merged.xy[toes], openpose.xy[toes]) and (merged.confidence[toes] == 0.7).all()
    others = [i for i in range(25) if i not in toes]
    assert np.array_equal(merged.xy[others], vitpose.xy[others])
    assert np.array_equal(merged.confidence[others], vitpose.confidence[others])
    feet = merge_keypoints(vitpose, openpose, joints=("big_toe", "small_toe", "heel"))
    assert feet.valid[19:].all()


def test_merge_keeps_toes_that_were_detected() -> None:
    vitpose, openpose = two_detections(toe=0.25, shift=2)
    merged = merge_keypoints(vitpose, openpose)
    assert merged.confidence[19] == 0.25 and np.array_equal(merged.xy[19], vitpose.xy[19])
    assert merged.confidence[22] == 0.7


def test_merge_needs_ankles_that_agree_for_the_persons_size() -> None:
    assert not merge_keypoints(*two_detections(shift=12)).valid[19:].any()
    vitpose, openpose = two_detections(shift=2)
    for factor in (0.1, 10):  # the same picture at another resolution
        a = Keypoints2D("body25", vitpose.xy * factor, vitpose.confidence)
        b = Keypoints2D("body25", openpose.xy * factor, openpose.confidence)
        assert merge_keypoints(a, b).valid[[19, 22]].all()


def test_merge_needs_both_ankles() -> None:
    vitpose, openpose = two_detections(shift=2)
    confidence = openpose.confidence.copy()
    confidence[INDEX["left_ankle"]] = 0.1
    merged = merge_keypoints(vitpose, Keypoints2D("body25", openpose.xy, confidence))
    assert not merged.valid[19] and merged.valid[22]


def test_merge_of_one_is_that_one() -> None:
    vitpose, openpose = two_detections()
    assert merge_keypoints(None, openpose) is openpose
    assert merge_keypoints(convert_keypoints(vitpose, "coco17"), None).skeleton == "body25"
    with pytest.raises(ValueError, match="both None"):
        merge_keypoints(None, None)


# Everything together


def test_assemble_of_keypoints_only() -> None:
    people = at(0, 300)
    found = assemble_people(openpose=people, vitpose=at(301, 900))
    assert [dict(p.source) for p in found] == [{"openpose": 0}, {"openpose": 1, "vitpose": 0}, {"vitpose": 1}]
    assert all(p.initial is None for p in found)
    assert {(u.source, u.index, u.missing_in) for u in found.unmatched} == {
        ("openpose", 0, "vitpose"),
        ("vitpose", 1, "openpose"),
    }
    assert "openpose person 0 has no match in vitpose" in found[0].notes[0]
    assert len(assemble_people()) == 0


def test_assemble_orders_by_box_and_drops_empty_records() -> None:
    nobody = Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    people = [nobody, *at(0, 300)]
    boxes = [[*p.xy.min(0), *p.xy.max(0)] for p in people[:0:-1]]
    found = assemble_people(openpose=people, boxes=[*boxes, [2000, 0, 2100, 100]])
    assert [p.source["openpose"] for p in found] == [2, 1] and [p.source["box"] for p in found] == [0, 1]
    assert np.array_equal(found[0].bbox, boxes[0]) and found.of("box", 1) is found[1]
    with pytest.raises(KeyError, match="box person 2 has no match in keypoints: the nearest"):
        found.of("box", 2)
    assert any("no joint" in u.reason for u in found.unmatched)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "truth"),
    [
        # box -> (OpenPose, ViTPose, BEV), looked at in the pictures
        ("college_232334", {0: (2, 4, 1), 1: (0, 2, 0)}),
        ("girls_250416", {2: (10, 0, 5), 3: (9, 4, 1), 5: (7, 11, 4), 6: (8, 9, 3), 7: (2, 12, 9)}),
    ],
)
def test_real_annotated_people_get_every_source(
    real_dir: Path, name: str, truth: dict[int, tuple[int, int, int]]
) -> None:
    folder = real_dir / name
    image = read_flickr_signatures(folder / "interaction_contact_signature.json")[name]
    found = assemble_people(
        read_openpose(folder / "openpose.json"),
        read_vitpose_body25(folder / "vitpose.json"),
        read_bev(folder / "bev.npz"),
        image.boxes,
    )
    assert {i for pair in image.pairs for i in (pair.person_a, pair.person_b)} == set(truth)
    for box, (openpose, vitpose, bev) in truth.items():
        person = found.of("box", box)
        assert (person.source["openpose"], person.source["vitpose"], person.source["bev"]) == (
            openpose,
            vitpose,
            bev,
        )
        assert not person.notes and person.initial is not None
        assert min(person.margins.values()) > 0.1, "none of them was a close call"
    for kind in ("openpose", "vitpose", "bev", "box"):
        used = [person.source[kind] for person in found if kind in person.source]
        assert len(set(used)) == len(used), "nobody is used twice"


@pytest.mark.real
def test_real_crowd_is_matched_but_for_people_whom_a_file_lacks(real_dir: Path) -> None:
    folder = real_dir / "girls_250416"
    found = assemble_people(
        read_openpose(folder / "openpose.json"),
        read_vitpose_body25(folder / "vitpose.json"),
        read_bev(folder / "bev.npz"),
    )
    assert len(found.matchings["openpose-vitpose"].matches) == 17, "everybody whom ViTPose saw"
    assert len(found.matchings["keypoints-bev"].matches) == 27, "BEV's 28 but one"
    # Looked at in the picture: BEV missed three women whom OpenPose saw, OpenPose one whom BEV saw.
    assert [p.source["openpose"] for p in found if p.initial is None] == [12, 23, 25]
    assert [u.index for u in found.unmatched if u.source == "bev"] == [26]
    assert "better match for person 4" in found.of("openpose", 12).notes[0]
    assert all(u.reason for u in found.unmatched)
