"""Two people's labels of vertices matched: toys whose answer is plain, and true contacts of scenes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from apu_contacts import ContactMap, PartContact, RegionMap, match_dense_contacts
from apu_contacts.regions import part_regions

TOY = RegionMap.from_labels(np.arange(150) // 2, topology="toy", provenance="two vertices a region")
ROW = np.stack([0.05 * np.arange(150.0), np.zeros(150), np.zeros(150)], 1)


def labels(*regions: int, value: float = 0.9) -> np.ndarray:
    found = np.zeros(150)
    for region in regions:
        found[2 * region : 2 * region + 2] = value
    return found


def beside(region_a: int, region_b: int, apart: float = 0.1) -> np.ndarray:
    """The row moved so that a region of it lies beside a region of the row."""
    return ROW + np.array([0.1 * (region_a - region_b), apart, 0])


def test_what_lies_beside_each_other_matches() -> None:
    found = match_dense_contacts(labels(3, 70), labels(50, value=0.8), ROW, beside(3, 50), TOY)
    assert found.contacts.pairs.tolist() == [[3, 50]]
    assert found.contacts.weights == pytest.approx([0.9 * 0.8])
    assert found.alone_a == (70,) and found.alone_b == ()
    np.testing.assert_allclose(found.shift, [0, -0.1, 0], atol=2e-3)
    assert np.flatnonzero(found.matched_a).tolist() == [6, 7]
    assert np.flatnonzero(found.matched_b).tolist() == [100, 101]
    assert "alone on a" in str(found)


def test_people_half_a_metre_apart_in_depth_match_after_a_shift_and_not_without() -> None:
    far = beside(10, 60) + np.array([0, 0, 0.5])
    given = labels(10, 11), labels(60, 61), ROW, far, TOY
    found = match_dense_contacts(*given)
    assert {(10, 60), (11, 61)} <= set(map(tuple, found.contacts.pairs.tolist()))
    np.testing.assert_allclose(found.shift, [0, -0.1, -0.5], atol=0.03)
    assert len(match_dense_contacts(*given, align=False).contacts) == 0


def test_the_frame_does_not_matter_and_people_exchange() -> None:
    turn = Rotation.from_rotvec([0.3, -1.0, 2.0])
    a, b = labels(10, 11, 40), labels(60, 61, 5)
    there = match_dense_contacts(a, b, ROW, beside(10, 60), TOY)
    moved = match_dense_contacts(a, b, turn.apply(ROW) + 3, turn.apply(beside(10, 60)) + 3, TOY)
    assert moved.contacts == there.contacts
    np.testing.assert_allclose(moved.shift, turn.apply(there.shift), atol=1e-6)
    back = match_dense_contacts(b, a, beside(10, 60), ROW, TOY)
    assert {(j, i) for i, j in back.contacts.pairs.tolist()} == set(map(tuple, there.contacts.pairs.tolist()))


def test_answers_say_which_of_two_near_regions_is_meant() -> None:
    # regions 50 and 52 of b lie at the same distance on either side of region 3 of a
    b = beside(3, 51, apart=0.05)
    given = labels(3), labels(50, 52), ROW, b, TOY
    assert {tuple(p) for p in match_dense_contacts(*given, align=False).contacts.pairs.tolist()} == {
        (3, 50),
        (3, 52),
    }
    said = ContactMap([(3, 52)], [0.5])
    found = match_dense_contacts(*given, align=False, answers=said)
    assert found.contacts.pairs[0].tolist() == [3, 52]
    assert found.contacts.weights[0] == pytest.approx(1 - (1 - 0.81) * 0.5)
    assert found.alone_b == (50,)


def test_nothing_stated_is_lost_and_nothing_is_added() -> None:
    said = ContactMap([(3, 50), (20, 30), (20, 31)], [0.5, 0.25, 0.25], [0, 1, 1], ["one", "other"])
    found = match_dense_contacts(labels(3), labels(50), ROW, beside(3, 50), TOY, answers=said)
    assert found.unsupported.group_names == ("other",)
    assert found.unsupported.pairs.tolist() == [[20, 30], [20, 31]]
    regions = {r for pair in found.contacts.pairs.tolist() for r in pair}
    assert regions == {3, 50}
    nothing = match_dense_contacts(labels(), labels(50), ROW, ROW, TOY)
    assert len(nothing.contacts) == 0 and nothing.alone_b == (50,) and np.isnan(nothing.gap)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_topologies(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(150)
    other = RegionMap.from_labels(TOY.labels()[order], topology="other", provenance="shuffled")
    there = match_dense_contacts(labels(10), labels(60), ROW, beside(10, 60), TOY)
    found = match_dense_contacts(labels(10), labels(60)[order], ROW, beside(10, 60)[order], TOY, other)
    assert found.contacts == there.contacts
    np.testing.assert_array_equal(found.matched_b, there.matched_b[order])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contacts_a": np.zeros(10)}, "of another topology"),
        ({"contacts_a": np.full(150, 3.0)}, "are these logits"),
        ({"contacts_b": np.full(150, np.nan)}, "contacts_b must be probabilities"),
        ({"vertices_b": np.full((150, 3), np.inf)}, "vertices_b must be finite"),
        ({"reach": 0.0}, "reach must be metres"),
        ({"threshold": 0.0}, "threshold must be"),
    ],
)
def test_mistakes_are_named(change: dict, said: str) -> None:
    given = {"contacts_a": labels(3), "contacts_b": labels(50), "vertices_a": ROW, "vertices_b": ROW}
    with pytest.raises(ValueError, match=said):
        match_dense_contacts(**{**given, **change}, regions=TOY)


def test_true_contacts_of_scenes_come_back_from_displaced_bodies() -> None:
    """Exact labels, soles on the floor labelled too, b moved by 40 cm: nearly all pairs found are true."""
    from apu_losses.synthetic import load_truth_scenes

    regions = RegionMap.load("free")
    soles = np.isin(regions.labels(), part_regions("foot"))
    scenes = [s for s in load_truth_scenes() if "hug" in s.interaction and len(s.contact_regions) > 4][:4]
    assert scenes
    for number, scene in enumerate(scenes):
        a, b = scene.vertices.astype(float)
        floors = [soles & (mesh[:, 1] < 0.03) for mesh in (a, b)]
        said = [
            ((cKDTree(other).query(own)[0] < 0.01) | floor).astype(float)
            for own, other, floor in ((a, b, floors[0]), (b, a, floors[1]))
        ]
        away = np.random.default_rng(number).normal(size=3)
        away *= 0.4 / np.linalg.norm(away)
        found = match_dense_contacts(*said, a, b + away, regions)
        true = set(scene.contact_regions)
        pairs = {tuple(p) for p in found.contacts.pairs.tolist()}
        assert np.linalg.norm(found.shift + away) < 0.03
        assert len(pairs & true) >= 0.6 * len(pairs) and len(pairs & true) >= 0.6 * len(true)


def test_weights_of_vertices_are_the_largest_of_their_regions() -> None:
    cmap = ContactMap.from_parts([PartContact("hand", "left", "back", "none", confidence=0.5)])
    soft, hard = cmap.to_vertex_weights(TOY), cmap.to_vertex_labels(TOY)
    for weights, mask in zip(soft, hard, strict=True):
        np.testing.assert_array_equal(weights, np.where(mask, 0.5, 0.0))
    assert not any(each.any() for each in ContactMap.empty().to_vertex_weights(TOY))
    border = RegionMap.from_lists([[r, (r + 1) % 75] for r in range(75)], 75, topology="b", provenance="t")
    weights, _ = ContactMap([(3, 0), (4, 0)], [0.25, 0.75]).to_vertex_weights(border)
    assert weights[3:6].tolist() == [0.25, 0.75, 0.75]
