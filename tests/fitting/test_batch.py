"""Scenes as one graph: what a subset holds equals what its scenes give alone."""

import numpy as np
import pytest
import torch
from fitting_scenes import HEIGHT, WIDTH

from apu_contacts import ContactMap, Keypoints2D
from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS
from apu_losses.fitting import Scene, SceneContact, ScenePerson, make_batch
from apu_losses.fitting.objective.batch import body25, hand_keypoints

RNG = np.random.default_rng(5)
CPU = torch.device("cpu")
FIELDS = (
    "row_scene",
    "keypoints",
    "confidence",
    "target_keypoints",
    "target_confidence",
    "scale",
    "hand_keypoints",
    "hand_confidence",
    "sees_hand",
    "edge_scene",
    "pair_a",
    "pair_b",
    "pair_scene",
)


def someone(seed):
    rng = np.random.default_rng(seed)
    return ScenePerson(Keypoints2D("body25", rng.uniform(0, 600, (25, 2)), rng.uniform(0.05, 1, 25).round(2)))


def with_hands(seed, skeleton="coco_wholebody133"):
    """Somebody of whom both hands are seen, each beside its wrist."""
    rng, order = np.random.default_rng(seed), SKELETONS[skeleton]
    xy = rng.uniform(0, 600, (len(order), 2))
    for side in ("left", "right"):
        hand = order.indices([f"{side}_hand_{i}" for i in range(21)])
        xy[hand] = xy[order.index[f"{side}_wrist"]] + rng.uniform(-20, 20, (21, 2))
    return ScenePerson(Keypoints2D(skeleton, xy, rng.uniform(0.05, 1, len(order))))


NOBODY = ScenePerson(Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25)))


def regions(*pairs, groups=None):
    return ContactMap(list(pairs), np.linspace(0.5, 1, len(pairs)), groups)


SCENES = [
    Scene(
        WIDTH, HEIGHT, [someone(1), someone(2)], [SceneContact(0, 1, regions((3, 40), (4, 41)))], name="two"
    ),
    Scene(
        400,
        300,
        [someone(3), NOBODY, someone(4)],
        [
            SceneContact(2, 0, regions((1, 2), (1, 3), (7, 8), groups=[0, 0, 1]), "either"),
            SceneContact(1, 1, regions((10, 60))),
            SceneContact(0, 1, ContactMap.empty(), "either"),
        ],
        Camera(777.0, (10.0, 20.0)),
        name="three",
    ),
    Scene(WIDTH, HEIGHT, [with_hands(5)], name="alone"),
    Scene(
        WIDTH, HEIGHT, [someone(i) for i in range(6, 11)], [SceneContact(4, 1, regions((0, 74)))], name="five"
    ),
]


@pytest.fixture(scope="module")
def batch():
    return make_batch(SCENES, CPU, torch.float64)


def assert_same(a, b):
    assert a.scenes == b.scenes and a.any_hand == b.any_hand
    for name in FIELDS:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype and torch.equal(x, y), name
    assert torch.equal(a.camera.focal, b.camera.focal) and torch.equal(a.camera.center, b.camera.center)
    assert (a.edge_rows_a, a.edge_rows_b, a.edge_order) == (b.edge_rows_a, b.edge_rows_b, b.edge_order)
    assert a.contact_maps == b.contact_maps
    for over in ("pairs", "parts"):
        for single in (False, True):
            x = a.contact_edges(over, one_search_a_pair=single)
            y = b.contact_edges(over, one_search_a_pair=single)
            for name in ("contact", "weight", "edge", "edge_either", "row_a", "row_b"):
                assert torch.equal(getattr(x, name), getattr(y, name)), name
            for name in ("row_a", "row_b", "group_a", "group_b"):
                assert torch.equal(getattr(x.searches, name), getattr(y.searches, name)), name


@pytest.mark.bits
@pytest.mark.parametrize("kept", [[0], [1], [2], [3], [0, 2], [1, 3], [0, 1, 2, 3]])
def test_subset_equals_a_batch_of_the_same_scenes(batch, kept):
    assert_same(batch.subset(torch.tensor(kept)), make_batch([SCENES[i] for i in kept], CPU, torch.float64))


@pytest.mark.bits
def test_subset_of_a_subset(batch):
    twice = batch.subset(torch.tensor([1, 2, 3])).subset(torch.tensor([0, 2]))
    assert_same(twice, make_batch([SCENES[1], SCENES[3]], CPU, torch.float64))


def test_rows_people_and_pairs_by_hand(batch):
    assert (batch.size, batch.rows) == (4, 11)
    assert batch.row_scene.tolist() == [0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 3]
    pairs = [(0, 1), (2, 3), (2, 4), (3, 4)] + [(a, b) for a in range(6, 11) for b in range(a + 1, 11)]
    assert list(zip(batch.pair_a.tolist(), batch.pair_b.tolist(), strict=True)) == pairs
    assert batch.pair_scene.tolist() == [0, 1, 1, 1] + [3] * 10
    assert batch.rows_of(torch.tensor([1, 3])).tolist() == [2, 3, 4, 6, 7, 8, 9, 10]
    assert batch.camera.focal[2] == 777 and batch.camera.center[4].tolist() == [10, 20]
    assert batch.camera.focal[0] == pytest.approx(WIDTH / 2 / np.tan(np.pi / 6))


def test_contact_graph_by_hand(batch):
    assert batch.edge_rows_a == (0, 4, 3, 2, 10)
    assert batch.edge_rows_b == (1, 2, 3, 3, 7)
    assert batch.edge_scene.tolist() == [0, 1, 1, 1, 3]
    pairs, parts = batch.contact_edges("pairs"), batch.contact_edges("parts")
    assert pairs.edge.tolist() == [0, 0, 1, 1, 1, 2, 4]
    assert parts.edge.tolist() == [0, 0, 1, 1, 2, 4]
    assert pairs.row_a.tolist() == [0, 0, 4, 4, 4, 3, 10] and pairs.row_b.tolist() == [1, 1, 2, 2, 2, 3, 7]
    assert pairs.edge_either.tolist() == [False, True, False, True, False]
    assert batch.contact_edges("pairs") is pairs  # laid out once


def test_scale_makes_the_keypoint_box_512_long(batch):
    for row, person in enumerate(p for s in SCENES for p in s.people):
        seen = person.keypoints.xy[person.keypoints.confidence > 0]
        expected = 512 / np.ptp(seen, axis=0).max() if len(seen) else 0.0
        assert batch.scale[row].item() == pytest.approx(expected)


def test_per_scene_sums(batch):
    values = torch.arange(1.0, 12.0, dtype=torch.float64)
    assert batch.per_scene(values).tolist() == [3, 12, 6, 45]
    owner = torch.tensor([3, 3, 0])
    assert batch.per_scene(values[:3], owner).tolist() == [3, 0, 0, 3]


def test_keypoints_of_any_skeleton_become_body25():
    xy, confidence = RNG.uniform(0, 100, (17, 2)), RNG.uniform(0.1, 1, 17)
    converted = body25(Keypoints2D("coco17", xy, confidence))
    names, coco = SKELETONS["body25"].joint_names, SKELETONS["coco17"].joint_names
    for name in ("left_wrist", "right_ankle", "nose"):
        i, j = names.index(name), coco.index(name)
        np.testing.assert_array_equal(converted.xy[i], xy[j])
        assert converted.confidence[i] == confidence[j]
    assert converted.confidence[names.index("left_heel")] == 0


def test_missing_keypoints_lie_at_zero_and_a_point_is_no_person():
    xy = np.full((25, 2), 50.0)
    xy[3] = np.nan
    confidence = np.ones(25)
    confidence[3] = 0
    assert body25(Keypoints2D("body25", xy, confidence)).confidence.sum() == 0
    xy[4] = [80.0, 90.0]
    out = body25(Keypoints2D("body25", xy, confidence))
    assert out.xy[3].tolist() == [0, 0] and out.confidence.sum() == 24


def test_missing_ankles_are_filled_from_the_start():
    names = SKELETONS["body25"].joint_names
    keypoints = someone(1).keypoints
    confidence = np.full(25, 0.9)
    left, right = names.index("left_ankle"), names.index("right_ankle")
    toe, heel = names.index("left_big_toe"), names.index("left_heel")
    confidence[[left, heel]] = [0.1, 0.0]
    scene = Scene(WIDTH, HEIGHT, [ScenePerson(Keypoints2D("body25", keypoints.xy, confidence)), NOBODY])
    batch = make_batch([scene], CPU, torch.float64)
    start = torch.full((2, 25, 2), 7.0, dtype=torch.float64)
    filled = batch.with_filled_ankles(start)
    assert (filled.target_keypoints[0, [left, heel]] == 7).all()
    assert (filled.target_confidence[0, [left, heel]] == 0.5).all()
    np.testing.assert_array_equal(filled.target_keypoints[0, [right, toe]], keypoints.xy[[right, toe]])
    assert (filled.target_confidence[1] == 0).all()  # a person without keypoints stays without
    assert torch.equal(filled.confidence, batch.confidence)  # what is judged by is what was detected
    assert torch.equal(filled.subset(torch.tensor([0])).target_keypoints, filled.target_keypoints)


@pytest.mark.parametrize("skeleton", ["coco_wholebody133", "body25_hands_face"])
def test_hands_go_in_by_name_and_do_not_change_the_body(skeleton):
    person = with_hands(1, skeleton)
    batch = make_batch([Scene(WIDTH, HEIGHT, [person, someone(2)])], CPU, torch.float64)
    order = SKELETONS[skeleton]
    for side, part in (("left", slice(0, 21)), ("right", slice(21, 42))):
        index = order.indices([f"{side}_hand_{i}" for i in range(21)])
        np.testing.assert_array_equal(batch.hand_keypoints[0, part], person.keypoints.xy[index])
        np.testing.assert_array_equal(batch.hand_confidence[0, part], person.keypoints.confidence[index])
    assert batch.any_hand and batch.sees_hand.tolist() == [[True, True], [False, False]]
    assert batch.sees("right_hand_pose").tolist() == [True, False]
    body = body25(person.keypoints)
    assert batch.scale[0].item() == pytest.approx(512 / np.ptp(body.xy[body.valid], axis=0).max())
    assert not batch.subset(torch.tensor([0])).hand_confidence[1].any()


def test_a_hand_that_is_elsewhere_or_hardly_seen_is_left_out():
    person = with_hands(1)
    order = SKELETONS["coco_wholebody133"]
    xy, confidence = person.keypoints.xy.copy(), person.keypoints.confidence.copy()
    left = order.indices([f"left_hand_{i}" for i in range(21)])
    right = order.indices([f"right_hand_{i}" for i in range(21)])
    xy[left] += 250  # a neighbour's
    confidence[right[3:]] = 0
    hands = hand_keypoints(Keypoints2D("coco_wholebody133", xy, confidence))
    assert hands.skeleton == "hands" and not hands.confidence.any() and not hands.xy.any()


def test_keypoints_that_the_body_lacks_are_missing():
    class Armless:
        def keypoint_mask(self, skeleton):
            return torch.tensor(
                ["hand" not in n and "wrist" not in n for n in SKELETONS[skeleton].joint_names]
            )

    scenes = [Scene(WIDTH, HEIGHT, [with_hands(1)])]
    whole = make_batch(scenes, CPU, torch.float64)
    batch = make_batch(scenes, CPU, torch.float64, Armless())
    wrists = SKELETONS["body25"].indices(["left_wrist", "right_wrist"])
    assert not batch.target_confidence[0, wrists].any() and not batch.any_hand
    assert torch.equal(batch.scale, whole.scale)  # how large somebody is does not depend on the body
    others = np.setdiff1d(np.arange(25), wrists)
    assert torch.equal(batch.confidence[0, others], whole.confidence[0, others])


def test_no_scenes():
    with pytest.raises(ValueError, match="scenes is empty"):
        make_batch([], CPU, torch.float32)
