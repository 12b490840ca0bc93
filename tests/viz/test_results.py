"""Pictures and lines of a fit that was never run: its numbers are made up, so every one can be found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from apu_contacts import REGIONS, ContactMap, Keypoints2D, RegionMap
from apu_contacts.camera import Camera
from apu_losses.bodies import load_body
from apu_losses.fitting import (
    FitResult,
    InitialBody,
    Preset,
    Scene,
    SceneContact,
    SceneFitter,
    SceneMetrics,
    ScenePerson,
    StageReport,
    Verdict,
    load_preset,
)
from apu_losses.viz.results import before_and_after, photograph, posed_meshes, scene_overlay
from apu_losses.viz.table import contact_names, measurement_rows


@pytest.fixture(scope="module")
def body():
    return load_body()


def make_scene(**changes) -> Scene:
    nobody = Keypoints2D("coco17", np.zeros((17, 2)), np.zeros(17))
    people = [ScenePerson(nobody, label="Ada"), ScenePerson(nobody)]
    contacts = [
        SceneContact(0, 1, ContactMap([[17, 6], [33, 6]])),
        SceneContact(1, 0, ContactMap([[23, 48]])),
    ]
    return Scene(**{"width": 80, "height": 60, "people": people, "contacts": contacts, **changes})


def metrics(*distances: float, error: float, inside: int) -> SceneMetrics:
    per_person = (error, error + 1)
    return SceneMetrics(
        contact_distance=distances,
        part_distance=distances,
        keypoint_error=per_person,
        confident_keypoint_error=per_person,
        inside_vertices=inside,
        depth_p95=0.012,
        depth_max=0.02,
        pose_change_rms=(5.0, 6.0),
        pose_change_max=(20.0, 30.0),
        spine_change_max=(3.0, 4.0),
        stature_change=(0.01, -0.02),
    )


def make_result() -> FitResult:
    people = {
        "transl": np.array([[-0.3, 0.0, 3.0], [0.3, 0.0, 3.0]]),
        "global_orient": np.array([[np.pi, 0, 0]] * 2),
    }
    apart = {**people, "transl": people["transl"] * [4, 1, 1]}
    return FitResult(
        scene="made up",
        body="free",
        preset=load_preset("best"),
        parameters=people,
        start=apart,
        stages=(StageReport("only", 3, "converged", 1.0, {}),),
        before=metrics(0.3, 0.04, 0.015, error=40.0, inside=7),
        after=metrics(0.004, 0.001, 0.03, error=8.0, inside=9),
        verdict=Verdict(True, "made up"),
        seconds=1.0,
    )


def test_every_measurement_has_its_line():
    rows = {name: (start, end) for name, start, end in measurement_rows(make_scene(), make_result())}
    assert rows["left palm to right back upper arm"] == ("30.0 cm", "0.4 cm")
    assert rows["left fingers (palm side) to right back upper arm"] == ("4.0 cm", "0.1 cm")
    assert rows["right palm to left lower back"] == ("1.5 cm", "3.0 cm")
    assert rows["region pairs within 2 cm"] == ("1 of 3", "2 of 3")
    assert rows["keypoint error, Ada"] == ("40.0 px", "8.0 px")
    assert rows["keypoint error, person 1"] == ("41.0 px", "9.0 px")
    assert rows["vertices inside the other body"] == ("7", "9")
    assert rows["pose change, person 1"][1] == "6 deg rms, 30 largest"
    assert rows["stature change, person 1"][1] == "-2.0 cm"


def test_many_contacts_and_none_are_summed_up():
    pairs = [[a, b] for a in range(4) for b in range(4)]
    many = make_scene(contacts=[SceneContact(0, 1, ContactMap(pairs))])
    assert len(contact_names(many)) == 16
    result = make_result()
    assert "left upper belly to left upper belly" not in {row[0] for row in measurement_rows(many, result)}
    none = make_scene(contacts=[])
    assert contact_names(none) == []
    untouched = replace(result, before=metrics(error=1.0, inside=0), after=metrics(error=1.0, inside=0))
    assert not [row for row in measurement_rows(none, untouched) if "region pairs" in row[0]]


def test_names_come_in_the_order_of_the_distances(body):
    regions = RegionMap.load("free")
    scene = make_scene(contacts=[SceneContact(0, 1, ContactMap([[51, 3], [17, 40], [66, 2], [51, 3]]))])
    apart = [InitialBody({"transl": np.array([x, 0.0, 3.0])}) for x in (-0.5, 0.5)]
    people = [ScenePerson(p.keypoints, start) for p, start in zip(scene.people, apart, strict=True)]
    preset = Preset("still", {}, ())
    (result,) = SceneFitter(body, regions=regions, preset=preset).fit([replace(scene, people=people)])
    vertices = [mesh.vertices for mesh in posed_meshes(body, result.parameters)]
    by_name = {region.name: region.id for region in REGIONS}
    for name, measured in zip(contact_names(scene), result.after.contact_distance, strict=True):
        a, b = (v[regions.vertices(by_name[r])] for v, r in zip(vertices, name.split(" to "), strict=True))
        assert measured == pytest.approx(cdist(a, b).min(), abs=1e-5)


def test_pictures_show_both_people_before_and_after(body):
    scene, result = make_scene(), make_result()
    meshes = posed_meshes(body, result.parameters)
    assert [mesh.name for mesh in meshes] == ["person_0", "person_1"]
    assert meshes[0].vertices[:, 0].mean() == pytest.approx(-0.3, abs=0.02)
    picture = scene_overlay(scene, meshes).astype(int)
    assert picture.shape == (60, 80, 3)
    blue = picture[..., 2] - picture[..., 0]
    assert blue[:, :40].max() > 40 and blue[:, 40:].min() < -40
    sheet = before_and_after(scene, result, body, height=60)
    assert sheet.shape[0] > 2 * 60 and sheet.shape[1] > 4 * 48
    middle = sheet.shape[0] // 2
    assert (sheet[:middle] != sheet[middle : 2 * middle]).any()


def test_photograph_must_be_the_one_of_the_scene(tmp_path):
    assert photograph(make_scene()) is None
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((60, 80, 4), 99, dtype=np.uint8)).save(path)
    picture = photograph(make_scene(image=str(path)))
    assert picture is not None and picture.shape == (60, 80, 3)
    with pytest.raises(ValueError, match="80 x 60 pixels, but the scene"):
        photograph(make_scene(width=60, height=80, image=str(path)))
    with pytest.raises(ValueError, match="cannot be read"):
        photograph(make_scene(image=str(tmp_path / "gone.png")))


def test_the_sheet_shows_the_part_of_the_photograph_with_the_people(body, tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((60, 800, 3), 99, dtype=np.uint8)).save(path)
    camera = Camera(70.0, (400.0, 30.0))
    wide = make_scene(width=800, image=str(path), camera=camera)
    sheet = before_and_after(wide, make_result(), body, height=60)
    assert sheet.shape[1] < 800, "an 800 pixels wide photograph of people in its middle should be cropped"
