"""What somebody says of a person's size: the start is as large, as much nearer, and the picture the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting_scenes import pair

from apu_contacts import Keypoints2D
from apu_losses.fitting import Scene, ScenePerson, load_scene, save_scene, with_people_said
from apu_losses.fitting.start.said import SAY_SO, STATURES, as_said, parse_said, usual_age


def rows(body, scene):
    people = [person.initial.parameters for person in scene.people]
    names = body.parameter_specs
    return {
        name: torch.stack(
            [
                torch.as_tensor(np.resize(p.get(name, spec.default), spec.size), dtype=torch.float32)
                for p in people
            ]
        )
        for name, spec in names.items()
    }


def test_a_child_is_small_and_near_and_makes_the_same_picture(body):
    scene = with_people_said(pair(body, gap=0.1), {1: "child"})
    scene = replace(scene, contacts=[])
    params = rows(body, scene)
    before, (changed, notes) = body.pose(params), as_said(body, [scene], params)
    after = body.pose(changed)
    stature = body.stature(changed)
    assert stature[1].item() == pytest.approx(STATURES["child"][1], abs=1e-3)
    share = stature[1] / body.stature(params)[1]
    torch.testing.assert_close(after.joints[1, 0], before.joints[1, 0] * share, atol=1e-5, rtol=0)
    for name in params:  # the other is left alone
        assert torch.equal(changed[name][0], params[name][0])
    points = [body.keypoints(posed, "body25")[1] for posed in (before, after)]
    pixels = [500 * p[:, :2] / p[:, 2:] for p in points]
    size = (pixels[0].amax(0) - pixels[0].amin(0)).max()
    assert (pixels[1] - pixels[0]).norm(dim=1).mean() < 0.05 * size  # children have larger heads
    assert "person 1 starts 1.20 m tall" in notes[0][0]


@pytest.mark.parametrize(
    ("words", "wanted"), [("1.8m", 1.80), ("infant 70cm", 0.70), ("child 130 cm", None), ("adult", None)]
)
def test_a_stature_is_taken_to_the_centimetre_and_what_fits_stays(body, words, wanted):
    if words == "child 130 cm":
        with pytest.raises(ValueError, match="says no age group"):
            parse_said(words)
        return
    scene = with_people_said(pair(body, gap=0.1), {0: words})
    params = rows(body, scene)
    changed, _ = as_said(body, [scene], params)
    if wanted is None:
        assert all(torch.equal(changed[name], params[name]) for name in params)
    else:
        assert body.stature(changed)[0].item() == pytest.approx(wanted, abs=2e-3)


def test_a_child_in_contact_is_as_far_away_as_whom_it_touches(body):
    scene = pair(body, gap=0.1)
    far = {**scene.people[1].initial.parameters}
    far["transl"] = np.asarray(far["transl"], dtype=float) * 1.7
    other = replace(scene.people[1], initial=replace(scene.people[1].initial, parameters=far))
    scene = replace(scene, people=[scene.people[0], other])
    params = rows(body, scene)
    _, notes = as_said(body, [scene], params)
    assert any(note.endswith(SAY_SO) and note.startswith("person 1 touches person 0") for note in notes[0])
    said = with_people_said(scene, {1: "child"})
    changed, notes = as_said(body, [said], params)
    depth = body.pose(changed).joints[:, 0, 2]
    assert depth[1].item() == pytest.approx(depth[0].item(), abs=0.02)
    assert not any(note.endswith(SAY_SO) for note in notes[0])


def test_what_is_said_is_kept_in_the_scene_file(tmp_path):
    seen = Keypoints2D("coco17", np.full((17, 2), 100.0), np.ones(17))
    scene = Scene(640, 480, [ScenePerson(seen), ScenePerson(seen, age_group="child", stature=1.2)])
    save_scene(scene, tmp_path / "s.json")
    read = load_scene(tmp_path / "s.json")
    assert [(p.age_group, p.stature) for p in read.people] == [("", None), ("child", 1.2)]
    assert "age_group" not in (tmp_path / "s.json").read_text().split("child")[0].split('"label"')[1]


def test_what_cannot_be_said(body):
    scene = pair(body, gap=0.1)
    for said, message in (
        ({5: "child"}, "said of person 5, but the scene has 2 people"),
        ({0: "dwarf"}, "says no age group"),
        ({0: "180"}, "stature must be 0.4 to 2.5 metres, got 180.0: are these centimetres"),
    ):
        with pytest.raises(ValueError, match=message):
            with_people_said(scene, said)
    with pytest.raises(ValueError, match="age_group must be one of adult"):
        ScenePerson(scene.people[0].keypoints, age_group="old")
    assert parse_said("child 1.2m") == ("child", 1.2)
    assert usual_age(body, scene.people[0]) is None
    assert usual_age(body, replace(scene.people[0], age_group="adult")) == 0.0
    assert 0.3 < usual_age(body, replace(scene.people[0], age_group="child")) < 0.6


def test_the_command_takes_words_of_people(tmp_path):
    from typer.testing import CliRunner

    from apu_losses.app.cli import app

    seen = Keypoints2D("coco17", np.full((17, 2), 100.0), np.ones(17))
    file = tmp_path / "s.json"
    save_scene(Scene(640, 480, [ScenePerson(seen)]), file)
    for words, message in (
        (["1", "child"], "said of person 1, but the scene has 1 people"),
        (["0", "tall"], "says no age group"),
        (["child", "0"], "a number and a word are expected, such as --person 1 child"),
    ):
        done = CliRunner().invoke(app, ["fit", str(file), "-o", str(tmp_path / "out"), "--person", *words])
        assert done.exit_code != 0 and message in str(done.exception) + done.output
