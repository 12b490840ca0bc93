"""The scenes that ship are what they say, by libraries that made none of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from apu_contacts.regions import RegionMap
from apu_losses.synthetic import (
    DEVELOPMENT_TYPES,
    HELD_OUT_TYPES,
    INTERACTIONS,
    PLACES,
    load_truth_body,
    load_truth_scenes,
    read_truth_scenes,
    write_truth_scenes,
)
from apu_losses.synthetic.build import complaint
from apu_losses.synthetic.draw import draw

NAMED_BY_THE_PAPER = {
    "handshake", "hug", "back hug", "side hug", "high five", "pat on back", "whisper", "support",
    "step on foot", "knock over", "grab", "punch", "kick", "kiss", "dance", "cheers", "pose", "talk",
    "carry child", "piggyback", "arm in arm", "hold hands", "yoga", "judo",
}  # fmt: skip


@pytest.fixture(scope="module")
def every():
    return load_truth_scenes("all")


@pytest.fixture(scope="module")
def one_of_each(every):
    return list({scene.interaction: scene for scene in reversed(every)}.values())


@pytest.fixture(scope="module")
def faces():
    return load_truth_body().faces.numpy()


def test_splits_share_no_type_and_miss_none():
    assert not set(DEVELOPMENT_TYPES) & set(HELD_OUT_TYPES)
    assert set(DEVELOPMENT_TYPES) | set(HELD_OUT_TYPES) == set(INTERACTIONS)
    assert len(INTERACTIONS) >= 30 and set(INTERACTIONS) >= NAMED_BY_THE_PAPER
    assert {scene.interaction for scene in load_truth_scenes("development", per_type=1)} == set(
        DEVELOPMENT_TYPES
    )


def test_there_are_scenes_of_every_type(every):
    types = [scene.interaction for scene in every]
    assert set(types) == set(INTERACTIONS)
    assert sum(name in HELD_OUT_TYPES for name in types) >= 300
    assert sum(name in DEVELOPMENT_TYPES for name in types) >= 100
    assert min(types.count(name) for name in INTERACTIONS) >= 3
    assert len({scene.name for scene in every}) == len(every)
    assert len({(scene.interaction, scene.seed) for scene in every}) == len(every)


def test_people_touch_where_they_mean_to(every):
    for scene in every:
        for contact in scene.intended:
            gap = scene.vertices[0, contact.vertex_a] - scene.vertices[1, contact.vertex_b]
            assert np.linalg.norm(gap) <= 0.005, (scene.name, contact)


@pytest.mark.long
def test_nobody_is_inside_another(one_of_each, faces):
    igl = pytest.importorskip("igl", reason="libigl is an extra: pip install 'apu-losses[synthetic]'")
    for scene in one_of_each:
        depth = 0.0
        for one, other in ((0, 1), (1, 0)):
            points, mesh = scene.vertices[one].astype(float), scene.vertices[other].astype(float)
            near = ((points > mesh.min(0)) & (points < mesh.max(0))).all(1)
            if near.any():
                # the exact winding number: not what the builder asked
                inside = points[near][igl.winding_number(mesh, faces, points[near]) > 0.5]
                if len(inside):
                    depth = max(depth, np.sqrt(igl.point_mesh_squared_distance(inside, mesh, faces)[0].max()))
        assert depth < 0.01, scene.name
        assert depth == pytest.approx(scene.deepest, abs=1e-4), scene.name


def test_people_who_do_not_touch_are_apart(every):
    apart = [scene for scene in every if not scene.intended]
    assert {scene.interaction for scene in apart} == {"talk", "walk past"}
    for scene in apart:
        assert cKDTree(scene.vertices[0]).query(scene.vertices[1])[0].min() > 0.02, scene.name
        assert not scene.contact_regions


@pytest.mark.long
def test_contact_regions_are_those_within_a_centimetre(one_of_each):
    regions = RegionMap.load("free")
    for scene in one_of_each[::4]:
        near = cKDTree(scene.vertices[1])
        expected = set()
        for a in range(75):
            distance, _ = near.query(scene.vertices[0][regions.vertices(a)])
            if distance.min() < 0.02:
                for b in range(75):
                    target = cKDTree(scene.vertices[1][regions.vertices(b)])
                    if target.query(scene.vertices[0][regions.vertices(a)])[0].min() <= 0.01:
                        expected.add((a, b))
        assert set(scene.contact_regions) == expected, scene.name


def test_feet_stand_on_the_floor(every):
    for scene in every:
        kind = INTERACTIONS[scene.interaction]
        assert scene.vertices[:, :, 1].min() > -0.01, scene.name
        for person, floor in enumerate((kind.floor_a, kind.floor_b)):
            if floor:
                assert scene.vertices[person, :, 1].min() < 0.01, scene.name
            else:  # carried
                assert scene.vertices[person, :, 1].min() > 0.05, scene.name


def test_people_differ(every):
    statures = [np.ptp(scene.vertices[0, :, 1]) for scene in every if scene.interaction == "fist bump"]
    assert np.std(statures) > 0.03
    children = [scene.parameters["age"][1, 0] for scene in every if INTERACTIONS[scene.interaction].age_b[1]]
    assert min(children) > 0.2 and np.std(children) > 0.05
    assert all(scene.extra_shape.shape == (2, 8) for scene in every)
    assert np.std([scene.extra_shape for scene in every]) > 0.2
    sides = {contact.place_a for scene in every for contact in scene.intended if scene.interaction == "punch"}
    assert sides == {"left knuckles", "right knuckles"}


def test_the_file_comes_back_as_it_was_written(one_of_each, tmp_path):
    some = one_of_each[:3]
    write_truth_scenes(tmp_path / "some.npz", some)
    for before, after in zip(some, read_truth_scenes(tmp_path / "some.npz"), strict=True):
        np.testing.assert_allclose(after.vertices, before.vertices, atol=1e-5)
        np.testing.assert_allclose(after.joints, before.joints, atol=1e-5)
        np.testing.assert_array_equal(after.extra_shape, before.extra_shape)
        for name in ("name", "interaction", "seed", "intended", "contact_regions", "deepest"):
            assert getattr(after, name) == getattr(before, name)


def test_a_file_of_other_meshes_is_refused(one_of_each, tmp_path):
    moved = replace(one_of_each[0], vertices=one_of_each[0].vertices + np.float32(2e-5))
    write_truth_scenes(tmp_path / "moved.npz", [moved])
    with pytest.raises(ValueError, match="come out"):
        read_truth_scenes(tmp_path / "moved.npz")


def test_selection(every):
    some = load_truth_scenes("held_out", interactions=["kiss", "punch"], per_type=2)
    assert [scene.interaction for scene in some] == ["kiss", "kiss", "punch", "punch"]
    with pytest.raises(ValueError, match="split must be one of"):
        load_truth_scenes("test")
    with pytest.raises(ValueError, match="'hug'"):
        load_truth_scenes("held_out", interactions=["hug"])


def test_places_are_known(every):
    assert {c.place_a for s in every for c in s.intended} | {
        c.place_b for s in every for c in s.intended
    } <= set(PLACES)


def test_what_is_wrong_with_a_scene_is_said(every):
    scene = next(scene for scene in every if scene.interaction == "fist bump")
    drawn = draw(scene.interaction, scene.seed)
    bad = {name: value.copy() for name, value in scene.parameters.items()}

    def said(parameters=scene.parameters, vertices=scene.vertices, touch=0.003, depth=0.004):
        return complaint(drawn, parameters, vertices, touch, depth)

    assert said() == ""
    assert said(touch=0.0051) == "a touch is missed"
    assert said(depth=0.0101) == "one is inside the other"
    assert said(vertices=scene.vertices - [0, 0.02, 0]) == "off the floor"
    assert said(vertices=scene.vertices * np.nan) == "the solver diverged"
    tipped = Rotation.from_euler("x", 40, degrees=True) * Rotation.from_rotvec(bad["global_orient"][0])
    bad["global_orient"][0] = tipped.as_rotvec()
    assert said(bad) == "the body turned away"
    talk = draw("talk", 0)
    assert complaint(talk, scene.parameters, scene.vertices, 0.0, -0.01) == "they touch and should not"
