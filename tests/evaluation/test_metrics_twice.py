"""Each metric equals a second, plainly written implementation."""

from __future__ import annotations

import numpy as np
import plain_metrics as plain
import pytest
import torch
from scipy.spatial.transform import Rotation

from apu_contacts import ContactMap, RegionMap
from apu_losses.bodies import load_body
from apu_losses.evaluation import bootstrap, compare, mean_of, mean_over
from apu_losses.evaluation.joint_sets import LSP14
from apu_losses.evaluation.measures import (
    TOUCHING,
    FrameRecord,
    MethodRecords,
    contact_metrics,
    joint_metrics,
    penetration_metrics,
    turn_and_size,
)
from apu_losses.evaluation.summary import Resampling
from apu_losses.functional.metrics import aligned_mpjpe
from apu_losses.geometry.topology import MeshTopology, RegionIndex
from apu_losses.synthetic import load_truth_scenes


def two_people(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(2, 14, 3)) * [0.3, 0.6, 0.2] + [[[0, 0, 4]], [[0.5, 0, 4.3]]]
    return true + rng.normal(0, 0.1, true.shape) + [0.1, -0.2, 0.4], true


@pytest.mark.parametrize("seed", range(5))
def test_joint_errors_under_every_alignment(seed):
    found, true = two_people(seed)
    metrics = joint_metrics(found, true, LSP14)
    for align in ("none", "translation", "scale", "pa"):
        assert metrics[f"joint_{align}"] == pytest.approx(plain.joint_error(found, true, align), abs=1e-6)
        each = [plain.error(found[person], true[person], align) for person in (0, 1)]
        assert metrics[f"person_{align}"] == pytest.approx(np.mean(each), abs=1e-6)
    assert metrics["person_pa_a"] == pytest.approx(plain.error(found[0], true[0], "pa"), abs=1e-6)
    assert metrics["person_pa_b"] == pytest.approx(plain.error(found[1], true[1], "pa"), abs=1e-6)
    hips = [LSP14.index("left_hip"), LSP14.index("right_hip")]
    rooted = [
        plain.error(f - f[hips].mean(0), t - t[hips].mean(0), "none")
        for f, t in zip(found, true, strict=True)
    ]
    assert metrics["person_hips"] == pytest.approx(np.mean(rooted), abs=1e-6)
    assert metrics["joint_none"] > metrics["joint_translation"] > metrics["joint_pa"]


def test_one_similarity_of_two_people_counts_where_they_stand():
    _, true = two_people(1)
    apart = true + np.array([[[0, 0, 0]], [[0, 0, 0.3]]])
    metrics = joint_metrics(apart, true, LSP14)
    assert metrics["person_pa"] == pytest.approx(0, abs=1e-5)
    assert metrics["joint_pa"] > 50
    assert metrics["joint_none"] == pytest.approx(150)  # one of two people, 300 mm off


def test_a_mirror_image_is_not_aligned_away():
    _, true = two_people(2)
    assert joint_metrics(true * [-1, 1, 1], true, LSP14)["joint_pa"] > 20


def test_truth_in_one_point_is_not_perfect():
    found = torch.rand(1, 14, 3)
    assert torch.isnan(aligned_mpjpe(found, torch.ones(1, 14, 3), "scale")).all()
    with pytest.raises(ValueError, match="align must be one of none"):
        aligned_mpjpe(found, found, "rotation")


def test_contacts_on_meshes(scenes):
    regions = RegionMap.load("free")
    lists = [np.asarray(regions.vertices(i)) for i in range(75)]
    index = RegionIndex.build(regions, regions.vertex_count)
    for scene in scenes[:2]:
        vertices = scene.vertices + np.array([[[0, 0, 0]], [[0, 0.02, 0.07]]], dtype=np.float32)
        metrics = contact_metrics(
            torch.from_numpy(vertices), ContactMap(np.array(scene.contact_regions)), index
        )
        distances = plain.contact_distances(vertices, scene.contact_regions, lists)
        assert metrics["contact_mm"] == pytest.approx(1000 * np.mean(distances), abs=1e-2)
        for radius in (5, 10, 15, 20):
            assert metrics[f"pcc_{radius}"] == pytest.approx(plain.share_within(distances, radius / 100))
        assert metrics["pcc"] == pytest.approx(plain.mean_share(distances))


def test_binary_contact_of_true_meshes(scenes):
    regions = RegionMap.load("free")
    lists = [np.asarray(regions.vertices(i)) for i in range(75)]
    index = RegionIndex.build(regions, regions.vertex_count)
    scene = scenes[0]
    metrics = contact_metrics(
        torch.from_numpy(scene.vertices), ContactMap(np.array(scene.contact_regions)), index
    )
    expected = plain.scores(scene.vertices, scene.contact_regions, lists, TOUCHING)
    assert (metrics["precision"], metrics["recall"], metrics["f1"]) == pytest.approx(expected)
    assert metrics["recall"] == 1.0  # what is nearer than 10 mm is nearer than 13


def pushed_together(scene, by: float) -> np.ndarray:
    towards = scene.vertices[0].mean(0) - scene.vertices[1].mean(0)
    moved = scene.vertices.astype(np.float64)
    moved[1] += by * towards / np.linalg.norm(towards)
    return moved


def in_both_boxes(vertices: np.ndarray) -> int:
    low, high = vertices.min(1).max(0), vertices.max(1).min(0)
    return int(((vertices > low) & (vertices < high)).all(2).sum())


@pytest.mark.long
def test_penetration_of_two_people():
    """Whose hands or arms meet: every vertex in the other's box is asked by loops, which takes its time."""
    pushed = [pushed_together(scene, 0.04) for scene in load_truth_scenes("held_out", per_type=1)]
    body = load_body()
    topology = MeshTopology.build(body.faces, body.num_vertices)
    compared = 0
    for vertices in sorted(pushed, key=in_both_boxes):
        found = penetration_metrics(torch.from_numpy(vertices), topology)
        if found["inside"] < 20:
            continue
        depth, inside = plain.penetration(vertices, np.asarray(body.faces))
        assert found["depth_mm"] == pytest.approx(depth, abs=0.01)
        assert abs(found["inside"] - inside) <= 1  # a vertex on the surface may be called either way
        compared += 1
        if compared == 2:
            break
    assert compared == 2


def test_penetration_of_what_was_made_to_touch(scenes):
    body = load_body()
    topology = MeshTopology.build(body.faces, body.num_vertices)
    clean = penetration_metrics(torch.from_numpy(scenes[0].vertices), topology)
    assert clean["depth_mm"] == pytest.approx(
        1000 * scenes[0].deepest, abs=1.0
    )  # measured by another library


BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
BOX_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip


def test_penetration_of_two_boxes_is_known():
    """A box of 40 cm reaches 7 cm into the middle of a side of one of a metre: four corners, 7 cm deep."""
    small = 0.4 * BOX + [0.93, 0.3, 0.3]
    boxes = np.stack([BOX, small])
    found = penetration_metrics(torch.from_numpy(boxes), MeshTopology.build(BOX_FACES, 8))
    assert found == pytest.approx({"depth_mm": 70.0, "inside": 4.0}, abs=1e-6)
    assert plain.penetration(boxes, BOX_FACES) == pytest.approx((70.0, 4))
    apart = np.stack([BOX, small + np.array([0.08, 0, 0])])
    found = penetration_metrics(torch.from_numpy(apart), MeshTopology.build(BOX_FACES, 8))
    assert found == {"depth_mm": 0.0, "inside": 0.0}


def test_turn_and_size_say_in_which_axes_and_unit_a_fit_is():
    found, true = two_people(3)
    turned = Rotation.from_rotvec(np.radians(40) * np.array([0, 0.6, 0.8])).apply(true.reshape(-1, 3))
    assert turn_and_size(turned.reshape(true.shape) * 1000 + 5, true) == pytest.approx((40, 0.001))
    turn, size = turn_and_size(found, true)
    assert turn < 15
    assert size == pytest.approx(1, abs=0.15)
    flipped, _ = turn_and_size(true * [1, -1, -1], true)
    assert flipped == pytest.approx(180)
    assert np.isnan(turn_and_size(np.zeros((2, 14, 3)), true)[1])


def some_values(seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    rng = np.random.default_rng(seed)
    groups = ["hug"] * 30 + ["kick"] * 9
    clusters = [f"hug{i // 3}" for i in range(30)] + [f"kick{i // 2}" for i in range(9)]
    return rng.gamma(4, 20, 39), groups, clusters


@pytest.mark.parametrize("of", ["frames", "classes"])
def test_bootstrap_draws_whole_clusters(of):
    values, groups, clusters = some_values()
    found = bootstrap(values, groups, clusters, of=of, resamples=4000, seed=1)
    means = plain.resampled_means(values, groups, clusters, of, 4000, seed=2)
    expected = values.mean() if of == "frames" else (values[:30].mean() + values[30:].mean()) / 2
    assert found.mean == pytest.approx(expected)
    assert mean_over(values, groups, of) == pytest.approx(expected)
    low, high = np.quantile(means, (0.025, 0.975))
    width = high - low
    assert found.low == pytest.approx(low, abs=0.06 * width)
    assert found.high == pytest.approx(high, abs=0.06 * width)


def test_bootstrap_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(5)
    names = [str(i) for i in range(40)]
    inside = 0
    for turn in range(300):
        found = bootstrap(rng.normal(10, 3, 40), ["all"] * 40, names, resamples=400, seed=turn)
        inside += found.low <= 10 <= found.high
    assert 0.90 <= inside / 300 <= 0.98


def test_bootstrap_is_the_same_again_and_says_when_it_cannot_draw():
    values, groups, clusters = some_values()
    assert bootstrap(values, groups, clusters) == bootstrap(values, groups, clusters)
    alone = bootstrap([3.0, 5.0], ["a", "a"], ["one", "one"])
    assert alone.mean == 4.0
    assert np.isnan([alone.low, alone.high]).all()
    with pytest.raises(ValueError, match="equally long, got 1, 2 and 1"):
        bootstrap([1.0], ["a", "b"], ["a"])


def records(name: str, values: dict[str, float]) -> MethodRecords:
    return MethodRecords(
        name, tuple(FrameRecord(key, key[0], key, {"joint_pa": v, "pcc": v}) for key, v in values.items())
    )


def test_methods_are_compared_on_the_frames_of_both():
    first = records("first", {"a1": 10.0, "a2": 20.0, "b1": 30.0, "b9": 500.0})
    second = records("second", {"a1": 9.0, "a2": 18.0, "b1": 33.0, "b7": 1.0})
    found = compare(first, second, "joint_pa")
    assert found.frames == 3
    assert found.difference.mean == pytest.approx(0.0)
    assert found.better == pytest.approx(2 / 3)
    assert compare(first, second, "pcc").better == pytest.approx(1 / 3)  # higher is better
    own, count = mean_of(first, "joint_pa", of="classes", resampling=Resampling(10))
    assert (own.mean, count) == (pytest.approx((15 + 265) / 2), 4)
