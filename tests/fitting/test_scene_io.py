"""Scene files: what is written is read back; each mistake names the file, the place and what was expected."""

import copy
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from apu_contacts import ContactMap, Keypoints2D, PartContact
from apu_contacts.camera import Camera
from apu_losses.fitting import (
    InitialBody,
    Joints3D,
    Scene,
    SceneContact,
    SceneFileError,
    ScenePerson,
    load_scene,
    read_scene_lines,
    save_scene,
    scene_to_dict,
)


def full_scene():
    rng = np.random.default_rng(0)
    people = [
        ScenePerson(
            Keypoints2D("coco17", rng.uniform(0, 500, (17, 2)), rng.uniform(0, 1, 17)),
            InitialBody(
                {"body_pose": rng.normal(size=63), "transl": [0.1, -0.2, 3.3], "age": 0.25},
                Joints3D(("left_hip", "right_hip", "neck", "nose"), rng.normal(size=(4, 3)), [1, 0.5, 0, 2]),
            ),
            "bev 3",
        ),
        ScenePerson(Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))),
    ]
    contacts = [
        SceneContact(
            1, 0, ContactMap.from_parts([PartContact("hand", "left", "back", "none", 0.7)]), "either"
        ),
        SceneContact(0, 0, ContactMap([[2, 40]], [0.25])),
    ]
    camera = Camera(1234.5678901, (317.25, 240.0))
    return Scene(640, 480, people, contacts, camera, "two", "two.jpg")


def test_round_trip(tmp_path):
    scene = full_scene()
    save_scene(scene, tmp_path / "deep" / "scene.json")
    back = load_scene(tmp_path / "deep" / "scene.json")
    assert (back.width, back.height, back.name, back.camera) == (640, 480, "two", scene.camera)
    for a, b in zip(scene.people, back.people, strict=True):
        assert (a.label, a.keypoints.skeleton) == (b.label, b.keypoints.skeleton)
        np.testing.assert_allclose(b.keypoints.xy, a.keypoints.xy, atol=5.1e-7)
        np.testing.assert_allclose(b.keypoints.confidence, a.keypoints.confidence, atol=5.1e-7)
        assert set(a.initial.parameters) == set(b.initial.parameters)
        for name, value in a.initial.parameters.items():
            np.testing.assert_allclose(b.initial.parameters[name], value, atol=5.1e-7)
    ours, theirs = scene.people[0].initial.joints, back.people[0].initial.joints
    assert ours.names == theirs.names and back.people[1].initial.joints is None
    np.testing.assert_allclose(theirs.xyz, ours.xyz, atol=5.1e-7)
    np.testing.assert_array_equal(theirs.weights, ours.weights)
    for a, b in zip(scene.contacts, back.contacts, strict=True):
        assert (a.person_a, a.person_b, a.order) == (b.person_a, b.person_b, b.order)
        assert a.contacts == b.contacts


def test_a_second_round_trip_changes_nothing(tmp_path):
    save_scene(replace(full_scene(), image=str(tmp_path / "two.jpg")), tmp_path / "a.json")
    save_scene(load_scene(tmp_path / "a.json"), tmp_path / "b.json")
    first, second = ((tmp_path / name).read_text() for name in ("a.json", "b.json"))
    assert first == second


def test_missing_keypoints_may_lie_nowhere(tmp_path):
    xy = np.ones((25, 2))
    xy[3] = np.nan
    confidence = np.ones(25)
    confidence[3] = 0
    scene = Scene(10, 10, [ScenePerson(Keypoints2D("body25", xy, confidence))])
    save_scene(scene, tmp_path / "a.json")
    assert "NaN" not in (tmp_path / "a.json").read_text()
    assert not load_scene(tmp_path / "a.json").people[0].keypoints.valid[3]


def test_image_path_is_relative_to_the_file(tmp_path, monkeypatch):
    data = scene_to_dict(full_scene())
    data["image"]["path"] = "pictures/two.jpg"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text(json.dumps(data))
    scene = load_scene(tmp_path / "in" / "a.json")
    assert scene.image == str(tmp_path / "in" / "pictures" / "two.jpg")
    # written elsewhere, named by a relative path: the picture stays the same one
    monkeypatch.chdir(tmp_path)
    relative = load_scene("in/a.json")
    save_scene(relative, "out/b.json")
    again = load_scene("out/b.json")
    assert (tmp_path / again.image).resolve() == (tmp_path / "in" / "pictures" / "two.jpg").resolve()


def test_camera_and_name_have_defaults(tmp_path):
    data = scene_to_dict(full_scene())
    del data["camera"], data["name"]
    (tmp_path / "hug.json").write_text(json.dumps(data))
    scene = load_scene(tmp_path / "hug.json")
    assert scene.name == "hug"
    # 60 degrees over the longer side
    assert np.degrees(2 * np.arctan(640 / 2 / scene.camera.focal)) == pytest.approx(60)
    assert scene.camera.center == (320, 240)


def error_of(path):
    with pytest.raises(SceneFileError) as caught:
        load_scene(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_no_file_and_no_json(tmp_path):
    assert "no such file" in error_of(tmp_path / "absent.json")
    assert "is a folder" in error_of(tmp_path)
    broken = tmp_path / "broken.json"
    broken.write_text('{"image": \n  {"width": }}')
    assert "line 2 column 13" in error_of(broken)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00\x9c")
    assert "not JSON" in error_of(tmp_path / "bytes.json")


def change(data, place, value):
    *path, last = place
    for step in path:
        data = data[step]
    if value is KeyError:
        del data[last]
    else:
        data[last] = value


MISTAKES = {
    "unknown key": (["colour"], 3, r"top level: .*colour"),
    "unknown key of a person": (["people", 0, "keypoints", "score"], 3, r"people\[0\]\.keypoints: .*score"),
    "missing key": (["image"], KeyError, r"image.*required"),
    "wrong type": (["image", "width"], "wide", r"image\.width: 'wide' is not of type 'integer'"),
    "wrong version": (["schema_version"], 7, r"schema_version: 1 was expected"),
    "nobody": (["people"], [], r"people: "),
    "too few keypoints": (
        ["people", 0, "keypoints", "xy"],
        [[1, 2]] * 16,
        r"people\[0\]: keypoints of the skeleton 'coco17' must have 17 joints, got 16",
    ),
    "unknown skeleton": (["people", 1, "keypoints", "skeleton"], "bones", r"people\[1\].*'bones'"),
    "keypoints of another skeleton": (
        ["people", 1, "keypoints", "skeleton"],
        "coco17",
        r"people\[1\].*17.*25",
    ),
    "confidence as a percentage": (
        ["people", 0, "keypoints", "confidence", 2],
        80,
        r"people\[0\]\.keypoints\.confidence\[2\]: 80",
    ),
    "a joint without place": (
        ["people", 0, "initial", "joints", "xyz"],
        [[0, 0, 1]] * 3,
        r"people\[0\].*xyz.*\(4, 3\).*\(3, 3\)",
    ),
    "weights of other joints": (
        ["people", 0, "initial", "joints", "weights"],
        [1.0],
        r"people\[0\].*weights.*\(4,\)",
    ),
    "a person who is not there": (["contacts", 0, "person_b"], 2, r"contacts\[0\]\.person_b is 2.*2 people"),
    "a person below zero": (["contacts", 0, "person_b"], -1, r"contacts\[0\]\.person_b: -1"),
    "a region that is not there": (["contacts", 1, "map", "pairs"], [[2, 75]], r"contacts\[1\].*75"),
    "a region that touches itself": (
        ["contacts", 1, "map", "pairs"],
        [[2, 2]],
        r"contacts\[1\].*region 2 on both sides",
    ),
    "half a pair": (["contacts", 1, "map", "pairs"], [[2]], r"contacts\[1\].*\(K, 2\)"),
    "no map": (["contacts", 1, "map"], {}, r"contacts\[1\].*schema"),
    "unknown order": (["contacts", 0, "order"], "any", r"contacts\[0\]\.order: 'any'"),
    "no focal length": (["camera", "focal"], 0, r"camera\.focal: 0"),
    "NaN in a keypoint": (
        ["people", 0, "keypoints", "xy", 3, 1],
        float("nan"),
        r"people\[0\]\.keypoints\.xy\[3\]\[1\].*finite",
    ),
    "NaN in a start": (
        ["people", 0, "initial", "parameters", "transl", 2],
        float("nan"),
        r"people\[0\]\.initial\.parameters\.transl\[2\].*finite",
    ),
    "infinity in a joint": (
        ["people", 0, "initial", "joints", "xyz", 0, 0],
        float("inf"),
        r"people\[0\]\.initial\.joints\.xyz\[0\]\[0\].*finite",
    ),
    "NaN in a camera": (["camera", "center", 0], float("nan"), r"camera\.center\[0\].*finite"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_place(mistake, tmp_path):
    place, value, said = MISTAKES[mistake]
    data = copy.deepcopy(scene_to_dict(full_scene()))
    change(data, place, value)
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(data))
    message = error_of(path)
    assert re.search(said, message), message


def test_a_scene_refuses_what_a_file_would():
    people = [ScenePerson(Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25)))]
    with pytest.raises(ValueError, match="at least one person"):
        Scene(10, 10, [])
    with pytest.raises(ValueError, match="0 x 10"):
        Scene(0, 10, people)
    with pytest.raises(ValueError, match=r"contacts\[0\]\.person_b is 1, but the scene has 1 people"):
        Scene(10, 10, people, [SceneContact(0, 1, ContactMap.empty())])
    with pytest.raises(ValueError, match="'given' or 'either'"):
        SceneContact(0, 1, ContactMap.empty(), "any")
    with pytest.raises(ValueError, match="focal must be positive"):
        Camera(float("nan"), (0, 0))


def test_keep_people_renumbers_contacts():
    scene = full_scene()
    assert scene.in_contact == (0, 1)
    one = scene.keep_people([1, 0])
    assert [(c.person_a, c.person_b) for c in one.contacts] == [(0, 1), (1, 1)]
    alone = scene.keep_people([0])
    assert [(c.person_a, c.person_b) for c in alone.contacts] == [(0, 0)]
    assert alone.contacts[0].contacts == scene.contacts[1].contacts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "a\0b"}, "null character"),
        ({"image": {"width": 10**12, "height": 5}}, "pixels on a side"),
    ],
)
def test_values_that_no_file_or_picture_can_have(tmp_path, change, said):
    data = {**scene_to_dict(full_scene()), **change}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    assert said in error_of(path)


def test_a_byte_order_mark_and_line_separators(tmp_path):
    data = {**scene_to_dict(full_scene()), "name": "a\u2028b\x85c"}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data), encoding="utf-8-sig")
    assert load_scene(path).name == "a\u2028b\x85c"
    lines = tmp_path / "a.jsonl"
    lines.write_bytes((json.dumps(data, ensure_ascii=False) + "\r\n").encode("utf-8-sig") * 1)
    assert [scene.name for scene in read_scene_lines(lines)] == ["a\u2028b\x85c"]
