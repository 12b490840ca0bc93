"""Files for other programs, pictures with marks, and sheets of pictures."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
import trimesh

from apu_contacts.keypoints import SKELETONS
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.viz import PAPER, draw_keypoints, glb_bytes, montage, overlay, write_glb

SIZE = (120, 90)


def test_glb_is_read_back_with_names_colors_and_places(sphere, tmp_path):
    meshes = [sphere((0.1, 0.2, 3), color=(1, 0.5, 0), name="person_0"), sphere((1, 0, 3), name="person_1")]
    write_glb(tmp_path / "people.glb", meshes)
    scene = trimesh.load(tmp_path / "people.glb")
    assert set(scene.geometry) == {"person_0", "person_1"}
    solid = scene.geometry["person_0"]
    np.testing.assert_allclose(solid.vertices, meshes[0].vertices * [1, -1, -1], atol=1e-6)
    np.testing.assert_array_equal(solid.visual.vertex_attributes["color"][0], [255, 128, 0, 255])
    assert solid.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.02), "faces should still point outward"


def test_glb_is_not_bare_metal(sphere):
    data = glb_bytes([sphere((0, 0, 3))])
    magic, version, length, json_length = struct.unpack("<4sIII", data[:16])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    tree = json.loads(data[20 : 20 + json_length])
    primitive = tree["meshes"][0]["primitives"][0]
    assert {"POSITION", "NORMAL", "COLOR_0"} <= set(primitive["attributes"])
    assert tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_glb_refuses_what_it_cannot_name(sphere):
    with pytest.raises(ValueError, match="differ"):
        glb_bytes([sphere((0, 0, 3)), sphere((0, 0, 4))])
    with pytest.raises(ValueError, match="empty"):
        glb_bytes([])


def coco(points):
    names = SKELETONS["coco17"].joint_names
    xy, confidence = np.zeros((len(names), 2)), np.zeros(len(names))
    for name, (x, y, c) in points.items():
        xy[names.index(name)], confidence[names.index(name)] = (x, y), c
    return Keypoints2D("coco17", xy, confidence)


def test_keypoints_are_drawn_where_they_are_and_only_the_sure_ones():
    white = np.full((90, 120, 3), 255, dtype=np.uint8)
    person = coco({"nose": (30, 20, 0.9), "left_wrist": (90, 70, 0.1)})
    picture = draw_keypoints(white, [person])
    changed = np.argwhere((picture != white).any(-1)) + 0.5
    np.testing.assert_allclose(changed.mean(0), [20, 30], atol=0.6)
    assert np.abs(changed - [20, 30]).max() < 5
    assert (draw_keypoints(white, []) == white).all()


def test_a_limb_joins_its_joints_and_an_error_line_joins_detection_and_fit():
    white = np.full((90, 120, 3), 255, dtype=np.uint8)
    arm = coco({"left_elbow": (20, 40, 1), "left_wrist": (100, 40, 1)})
    assert (draw_keypoints(white, [arm])[40, 60] != 255).any()
    nose, fitted = coco({"nose": (20, 20, 1)}), coco({"nose": (20, 80, 1)})
    picture = draw_keypoints(white, [nose], projected=[fitted]).astype(int)
    assert picture[50, 20, 0] > picture[50, 20, 1] + 60
    with pytest.raises(ValueError, match="projected"):
        draw_keypoints(white, [nose], projected=[fitted, fitted])


def test_overlay_lies_on_the_photograph(camera, sphere):
    photo = np.full((90, 120, 3), 10, dtype=np.uint8)
    picture = overlay(photo, [sphere((0, 0, 2))], camera)
    assert picture.shape == photo.shape
    assert (picture[0] == 10).all() and picture[45, 60, 0] > 100
    plain = overlay(None, [], camera, size=SIZE)
    assert plain.shape == (90, 120, 3)
    np.testing.assert_array_equal(plain[0, 0], np.round(np.array(PAPER) * 255))
    with pytest.raises(ValueError, match="size"):
        overlay(None, [], camera)


def test_montage_lays_pictures_out():
    red, blue = (np.zeros((40, 60, 3), dtype=np.uint8) for _ in range(2))
    red[..., 0], blue[..., 2] = 255, 255
    sheet = montage([red, blue[:20]], gap=5)
    assert sheet.shape == (50, 135, 3)
    assert (sheet[25, 30] == [255, 0, 0]).all() and (sheet[25, 95] == [0, 0, 255]).all()
    assert (sheet[7, 95] == 255).all(), "the smaller picture is centred in its cell"
    with_text = montage(
        [red, blue], ["before", "a caption that is far too wide for its picture"], columns=1, gap=5
    )
    assert with_text.shape[1] == 70
    assert (with_text[6:30] < 200).any(), "the caption should leave ink"
    for bad, message in [(([], None), "empty"), (([red], ["a", "b"]), "captions")]:
        with pytest.raises(ValueError, match=message):
            montage(*bad)


def test_pictures_open_as_png(camera, sphere):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(overlay(None, [sphere((0, 0, 2))], camera, size=SIZE)).save(buffer, "PNG")
    assert Image.open(buffer).size == SIZE
