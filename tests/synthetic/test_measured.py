"""Measured people as scenes: the same meshes and contacts as whoever retargeted them found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apu_losses.bodies import load_body
from apu_losses.synthetic import PLACES, AnnotatorNoise, annotate, measured_scenes, observe
from apu_losses.synthetic.annotator_words import part_of
from apu_losses.synthetic.measured import touching_places
from apu_losses.synthetic.places import patches

FILE = Path(__file__).resolve().parents[3] / "shared" / "mocap" / "two_person_mocap.npz"
real = pytest.mark.skipif(not FILE.is_file(), reason="shared/mocap beside the checkout is absent")


@pytest.fixture(scope="module")
def others():
    return measured_scenes(FILE, couple=False)


@real
def test_contacts_are_those_of_the_file(others):
    """Its makers took the distances with their own code, on meshes of their own posing."""
    with np.load(FILE) as file:
        pairs, offsets = file["contact_region_pairs"], file["contact_region_offsets"]
        assert len(others) == 12 == (file["passed"] & (file["pair"] != "60/61")).sum()
        for scene in others:
            told = {tuple(p) for p in pairs[offsets[scene.seed] : offsets[scene.seed + 1]].tolist()}
            found = set(scene.contact_regions)
            # borders of 1 cm may fall to either side by rounding
            assert len(told ^ found) <= 0.05 * len(told) + 1, scene.name
            assert 0 <= scene.deepest < 0.01
            assert abs(scene.vertices[:, :, 1].min()) < 0.15  # on the floor, or nearly


@real
def test_trials_are_kept_apart_and_thinned_over_their_time():
    few = measured_scenes(FILE, couple=True, per_trial=2)
    trials = [scene.interaction for scene in few]
    assert len(set(trials)) == 14 and max(map(trials.count, set(trials))) == 2
    assert len({scene.name for scene in few}) == len(few)
    assert all(scene.interaction.startswith("60/61") for scene in few)


@real
def test_the_annotator_can_speak_of_them(others):
    scene = others[0]
    text = annotate(observe(scene), AnnotatorNoise.none())
    assert scene.intended and all(part_of(c.place_a).part in text for c in scene.intended)


def test_a_palm_on_a_shoulder_blade_is_called_so():
    template = load_body("free").data.v_template.astype(np.float64)
    palm, blade = patches()["left palm"].center, patches()["right shoulder blade"].center
    nose, crown = patches()["nose"].center, patches()["crown"].center
    other = np.full_like(template, 9.0)  # all but two points of the second one are far away
    other[palm], other[nose] = template[blade] + [0.0, 0.0, 0.004], template[crown] + [0.0, 0.002, 0.0]
    found = touching_places(np.stack([template, other]))
    assert [(c.place_a, c.place_b) for c in found][:2] == [
        ("crown", "nose"),
        ("right shoulder blade", "left palm"),
    ]
    assert (found[0].vertex_b, found[1].vertex_b) == (nose, palm)
    assert {c.place_a for c in found} <= set(PLACES)
    assert touching_places(np.stack([template, np.full_like(template, 9.0)])) == ()


def test_another_file_is_named(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, betas=np.zeros(3))
    with pytest.raises(ValueError, match=r"other.npz: not a file of motion capture pairs: it lacks"):
        measured_scenes(path, couple=True)
    with pytest.raises(FileNotFoundError):
        measured_scenes(tmp_path / "absent.npz", couple=True)
