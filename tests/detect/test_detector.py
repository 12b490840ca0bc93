"""Detecting people and keypoints through onnxruntime and rtmlib, with networks whose answers are known."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx", reason="the networks of these tests are built with the onnx package")
pytest.importorskip("onnxruntime", reason="needs the extra [pose]")
pytest.importorskip("cv2", reason="needs the extra [pose]")
pytest.importorskip("rtmlib", reason="needs the extra [pose]")

import tiny_models as tiny

from apu_contacts.detect import (
    DetectorModels,
    KeypointDetector,
    WeightsError,
    detect_pictures,
    find_pictures,
    named_models,
)
from apu_contacts.sources import read_keypoint_arrays
from apu_losses.app import cli

SIZE = (320, 240)
# the boxes have the pose model's 3:4, so that a crop is the box and a quarter more
PEOPLE = [(tiny.YELLOW, (20, 40, 110, 160)), (tiny.MAGENTA, (180, 60, 300, 220))]
DOTS = [
    [(tiny.RED, (50, 70)), (tiny.GREEN, (80, 110)), (tiny.BLUE, (60, 140))],
    [(tiny.RED, (210, 90)), (tiny.GREEN, (260, 130)), (tiny.BLUE, (230, 190))],
]
# a pixel of the pose model's input in pixels of the picture, for each person
PIXEL = [1.25 * 90 / 48, 1.25 * 120 / 48]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    tiny.person_model(folder / "person.onnx")
    tiny.pose_model(folder / "pose133.onnx", 133)
    tiny.pose_model(folder / "pose17.onnx", 17)
    return folder


def models(folder, pose="pose133.onnx", **options) -> DetectorModels:
    return DetectorModels(folder / "person.onnx", folder / pose, score_scale=3.0, **options)


@pytest.fixture(scope="module")
def detector(folder) -> KeypointDetector:
    return KeypointDetector(models(folder))


def two_people(background=(0, 0, 0)) -> np.ndarray:
    return tiny.picture(SIZE, PEOPLE, [dot for person in DOTS for dot in person], background)


def check_two(found, tolerance=1.0) -> None:
    np.testing.assert_allclose(found.boxes, [box for _, box in PEOPLE], atol=2.1)
    for person in range(2):
        expected = np.array([place for _, place in DOTS[person]])[np.arange(found.xy.shape[1]) % 3]
        np.testing.assert_allclose(found.xy[person], expected, atol=tolerance * PIXEL[person] + 1)


@pytest.mark.parametrize(
    ("pose", "skeleton", "joints"),
    [("pose133.onnx", "coco_wholebody133", 133), ("pose17.onnx", "coco17", 17)],
)
def test_every_joint_lies_where_its_colour_is(folder, pose, skeleton, joints):
    found = KeypointDetector(models(folder, pose))(two_people())
    assert (found.skeleton, found.xy.shape, found.size) == (skeleton, (2, joints, 2), SIZE)
    check_two(found)
    assert [p.skeleton for p in found.people] == [skeleton] * 2
    assert (found.people[1].xy == found.xy[1]).all()


def test_confidence_is_the_score_over_its_scale_cut_at_one(folder):
    picture = two_people()
    halves = [
        KeypointDetector(DetectorModels(folder / "person.onnx", folder / "pose17.onnx", score_scale=s))
        for s in (1.0, 8.0)
    ]
    first, second = (detector(picture) for detector in halves)
    assert first.scores.max() > 1.5  # of another scale than [0, 1], as SimCC scores are
    assert (first.scores == second.scores).all()
    assert (first.confidence == first.scores.clip(0, 1)).all()
    np.testing.assert_allclose(second.confidence, second.scores / 8, atol=1e-12)


def test_the_detector_sees_bgr_and_the_pose_model_rgb_unless_told_otherwise(folder):
    # a cyan dog is yellow where red and blue are swapped, and red dots are blue
    picture = tiny.picture(SIZE, [PEOPLE[0], (tiny.CYAN, PEOPLE[1][1])], DOTS[0])
    found = KeypointDetector(models(folder))(picture)
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], PEOPLE[0][1], atol=2.1)
    np.testing.assert_allclose(found.xy[0, 0], DOTS[0][0][1], atol=PIXEL[0] + 1)
    swapped = KeypointDetector(models(folder, pose_channels="bgr"))(picture)
    np.testing.assert_allclose(swapped.xy[0, 0], DOTS[0][2][1], atol=PIXEL[0] + 1)


def test_nobody_is_an_empty_result_not_the_whole_picture(detector):
    found = detector(tiny.picture(SIZE, []))
    assert (len(found), found.people, found.size) == (0, [], SIZE)
    assert found.xy.shape == (0, 133, 2) and found.boxes.shape == (0, 4)


def test_boxes_below_the_threshold_or_of_another_class_are_nobody(folder, tmp_path):
    assert len(KeypointDetector(models(folder), min_box_score=0.95)(two_people())) == 0
    tiny.person_model(tmp_path / "classes.onnx", labels=(16, 0))
    dog_and_person = DetectorModels(tmp_path / "classes.onnx", folder / "pose17.onnx")
    found = KeypointDetector(dog_and_person)(two_people())
    np.testing.assert_allclose(found.boxes, [PEOPLE[1][1]], atol=2.1)


def test_a_yolox_without_its_last_step_is_decoded_and_cleared_of_doubles(folder, tmp_path):
    boxes = [
        (20.0, 30.0, 16.0, 24.0, 0.9, 0, 0.9),
        (21.0, 30.0, 16.0, 24.0, 0.8, 0, 0.9),  # the first once more
        (50.0, 20.0, 12.0, 20.0, 0.9, 16, 0.9),  # a dog
        (44.0, 40.0, 12.0, 20.0, 0.95, 0, 0.95),
        (60.0, 40.0, 20.0, 20.0, 0.9, 0, 0.5),  # reaches out of the picture
        (10.0, 10.0, 8.0, 8.0, 0.9, 0, 0.1),  # too unsure
    ]
    path = tiny.raw_person_model(tmp_path / "raw.onnx", boxes)
    detector = KeypointDetector(DetectorModels(path, folder / "pose17.onnx"))
    found = detector(np.zeros((128, 128, 3), dtype=np.uint8))
    expected = [(76, 60, 100, 100), (24, 36, 56, 84), (100, 60, 128, 100)]
    np.testing.assert_allclose(found.boxes, expected, atol=1e-3)


def test_sizes_that_a_file_leaves_open_are_given(folder, tmp_path):
    tiny.pose_model(tmp_path / "open.onnx", 17, open_size=True)
    found = KeypointDetector(
        DetectorModels(folder / "person.onnx", tmp_path / "open.onnx", pose_size=(48, 64), score_scale=3)
    )(two_people())
    check_two(found)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_first(detector, tmp_path, orientation):
    turns = {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(p.transpose(1, 0, 2), 2),
        8: lambda p: np.rot90(p, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](two_people())))
    stored.save(tmp_path / "turned.png", exif=exif)
    found = detector(tmp_path / "turned.png")
    assert found.size == SIZE
    check_two(found)


def test_grey_and_transparent_pictures_are_read(detector, tmp_path):
    Image.fromarray(two_people()[..., 0]).save(tmp_path / "grey.png")
    assert len(detector(tmp_path / "grey.png")) == 0  # no colours, no people
    alpha = np.full((*two_people().shape[:2], 1), 255, dtype=np.uint8)
    alpha[:, 170:] = 0  # the second person cannot be seen: white lies there
    Image.fromarray(np.concatenate([two_people(), alpha], 2)).save(tmp_path / "alpha.png")
    found = detector(tmp_path / "alpha.png")
    np.testing.assert_allclose(found.boxes, [PEOPLE[0][1]], atol=2.1)
    Image.fromarray(two_people()).convert("P").save(tmp_path / "palette.png")
    assert detector(tmp_path / "palette.png").size == SIZE


def test_loading_says_nothing_on_standard_output(folder, capfd, caplog):
    with caplog.at_level(logging.INFO, "apu_contacts.detect"):
        KeypointDetector(models(folder))
    assert capfd.readouterr().out == ""
    assert sum("pose133.onnx" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: tiny.heat_map_model(p), r"two SimCC outputs.*heat maps, as of ViTPose"),
        (lambda p: tiny.pose_model(p, 136), r"136 joints are none of.*Halpe-136"),
        (lambda p: tiny.pose_model(p, 17, bins=3), r"expected 2 bins for each of 48 pixels.*got 144"),
        (lambda p: tiny.person_model(p), r"two SimCC outputs"),
        (lambda p: p.write_bytes(b"not a network"), r"cannot be loaded as an ONNX model"),
        (lambda p: None, r"no such file"),
    ],
)
def test_another_kind_of_model_is_named(folder, tmp_path, make, message):
    make(tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match=f"(?s)other.onnx.*{message}"):
        KeypointDetector(DetectorModels(folder / "person.onnx", tmp_path / "other.onnx"))


def test_a_pose_model_in_the_place_of_the_person_model_is_named(folder):
    detector = KeypointDetector(DetectorModels(folder / "pose17.onnx", folder / "pose17.onnx"))
    with pytest.raises(WeightsError, match=r"expected boxes of shape \(1, N, 5\)"):
        detector(two_people())


def test_a_device_that_is_not_there_is_an_error(folder):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ValueError, match="'cuda': this onnxruntime has only"):
        KeypointDetector(models(folder), device="cuda")
    with pytest.raises(ValueError, match="device must be cpu, cuda"):
        KeypointDetector(models(folder), device="gpu")


@pytest.mark.parametrize("missing", ["rtmlib", "onnxruntime", "cv2"])
def test_a_missing_package_names_the_extra(folder, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {missing}.*pip install 'apu-losses\[pose\]'"):
        KeypointDetector(models(folder))


def test_named_models_are_those_that_rtmlib_lists():
    large, small = named_models("wholebody-large"), named_models("body-small")
    assert "rtmw" in str(large.pose) and large.pose_size == (288, 384) and large.score_scale == 5
    assert "rtmpose" in str(small.pose) and small.person_size == (416, 416) and small.score_scale == 1
    feet = named_models("feet")
    assert "halpe26" in str(feet.pose) and feet.score_scale == 1
    with pytest.raises(ValueError, match="model must be one of wholebody, "):
        named_models("openpose")


@pytest.fixture
def photos(tmp_path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(two_people()).save(photos / "hug.png")
    Image.fromarray(tiny.picture(SIZE, [])).save(photos / "empty.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (photos / "notes.txt").write_text("not a picture")
    return photos


def test_a_folder_becomes_a_list_with_the_keypoints_beside_it(detector, photos, tmp_path):
    (tmp_path / "bev").mkdir()
    (tmp_path / "bev" / "hug.npz").write_bytes(b"")
    told: list[tuple[float, str]] = []
    out = tmp_path / "out" / "found.jsonl"
    summary = detect_pictures(
        find_pictures([photos]),
        detector,
        out,
        estimates={"bev": str(tmp_path / "bev" / "{name}.npz")},
        progress=lambda share, what: told.append((share, what)),
    )
    assert (summary.pictures, summary.people, summary.empty) == (2, 2, ["empty"])
    assert len(summary.unread) == 1 and "broken.jpg" in summary.unread[0]
    assert summary.without_estimate == {"bev": ["empty"]}
    assert [what for _, what in told] == ["broken", "empty", "hug", "done"] and told[-1][0] == 1
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[1] == {
        "name": "hug",
        "image": "../photos/hug.png",
        "width": 320,
        "height": 240,
        "keypoints": "found/hug.npz",
        "bev": "../bev/hug.npz",
    }
    back = read_keypoint_arrays(tmp_path / "out" / "found" / "hug.npz")
    assert [k.skeleton for k in back] == ["coco_wholebody133"] * 2
    assert read_keypoint_arrays(tmp_path / "out" / "found" / "empty.npz", allow_empty=True) == []
    with np.load(tmp_path / "out" / "found" / "hug.npz") as kept:
        assert kept["raw_scores"].max() > 1.2 and kept["scores"].max() <= 1
        check_two(type("Found", (), {"boxes": kept["boxes"], "xy": kept["keypoints"]}))


def test_pictures_are_found_by_name(photos, tmp_path):
    assert list(find_pictures([photos / "hug.png", photos])) == ["hug", "broken", "empty"]
    Image.fromarray(two_people()).save(tmp_path / "hug.jpg")
    with pytest.raises(ValueError, match="would be called 'hug'"):
        find_pictures([photos, tmp_path / "hug.jpg"])
    with pytest.raises(FileNotFoundError, match="no such file"):
        find_pictures([tmp_path / "nowhere"])
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures in it"):
        find_pictures([tmp_path / "bare"])


def run(monkeypatch, capfd, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["apu", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0), *capfd.readouterr()


def test_from_pictures_to_scenes_on_the_command_line(folder, photos, tmp_path, monkeypatch, capfd):
    """apu detect, then apu propose: without a mesh no pair is proposed, and it says why."""
    weights = ("--person-weights", folder / "person.onnx", "--pose-weights", folder / "pose17.onnx")
    out = tmp_path / "found.jsonl"
    code, said, wrong = run(
        monkeypatch, capfd, "detect", photos, "-o", out, *weights, "--score-scale", 3, "--min-box-score", 0.5
    )
    assert code == 1 and "broken.jpg" in wrong and "Traceback" not in wrong  # the others went on
    assert "people" in said and "confidence of joints" in said and "rtmlib" not in said + wrong
    code, said, wrong = run(
        monkeypatch, capfd, "propose", out, "-o", tmp_path / "scenes.jsonl", "--start", "estimate"
    )
    assert code == 1 and "a fit needs a start" in wrong
    assert "0 scenes" in said


def test_errors_of_the_command_are_one_line(folder, photos, tmp_path, monkeypatch, capfd):
    out = ("-o", tmp_path / "found.jsonl")
    for arguments, message in (
        (
            (
                photos,
                "-o",
                tmp_path / "found.json",
                "--person-weights",
                folder / "person.onnx",
                "--pose-weights",
                folder / "pose17.onnx",
            ),
            "must be a .jsonl",
        ),
        ((tmp_path / "none", *out), "no such file or folder"),
        ((photos, *out, "--model", "openpose"), "model must be one of"),
        ((photos, *out, "--person-weights", "no.onnx", "--pose-weights", "no.onnx"), "no.onnx: no such file"),
        ((photos, *out, "--estimates", "bevv=x/{name}.npz"), "KIND one of bev, hmr2"),
        (
            (
                photos,
                *out,
                "--estimates",
                "bev=x.npz",
                "--person-weights",
                folder / "person.onnx",
                "--pose-weights",
                folder / "pose17.onnx",
            ),
            "needs {name}",
        ),
    ):
        code, said, wrong = run(monkeypatch, capfd, "detect", *arguments)
        assert code == 2 and said == "" and message in wrong, arguments
        assert wrong.count("\n") == 1 and "Traceback" not in wrong
