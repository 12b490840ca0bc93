"""MediaPipe's landmarks as estimates: metric bodies put where their keypoints are."""

from __future__ import annotations

import numpy as np
import pytest

from apu_contacts.camera import Camera
from apu_contacts.detect import DetectedPeople, choice, chosen_detector
from apu_contacts.detect.mediapipe_pose import same_person
from apu_contacts.keypoints import SKELETONS, convert_keypoints
from apu_contacts.sources import SourceFormatError, read_keypoint_arrays, read_mediapipe
from apu_contacts.sources.conventions import axis_angle_to_matrices

SIZE = (640, 480)
NAMES = SKELETONS["mediapipe33"].joint_names


def somebody(turn: float) -> np.ndarray:
    """``(33, 3)`` landmarks of a standing person who faces the camera, turned about the vertical."""
    points = np.random.default_rng(3).normal(0, 0.02, (33, 3))
    for name, (x, y) in {
        "shoulder": (0.17, -0.5),
        "hip": (0.1, 0.0),
        "knee": (0.1, 0.4),
        "ankle": (0.1, 0.8),
    }.items():
        for side, sign in (("left", 1), ("right", -1)):
            points[NAMES.index(f"{side}_{name}")] = [sign * x, y, 0.0]
    c, s = np.cos(turn), np.sin(turn)
    return points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def test_the_order_of_the_landmarks():
    """As MediaPipe's documentation numbers them."""
    numbered = {
        0: "nose",
        2: "left_eye",
        7: "left_ear",
        11: "left_shoulder",
        16: "right_wrist",
        23: "left_hip",
    }
    numbered |= {26: "right_knee", 27: "left_ankle", 29: "left_heel", 31: "left_big_toe", 32: "right_big_toe"}
    assert len(NAMES) == 33 and all(NAMES[i] == name for i, name in numbered.items())


@pytest.mark.parametrize("turn", [0.0, 0.8, np.pi])
def test_a_body_is_put_where_its_keypoints_are(tmp_path, turn):
    camera = Camera.from_image_size(*SIZE)
    place = np.array([0.4, 0.2, 3.3])
    marks = np.stack([somebody(turn), somebody(turn)])
    xy = camera.project(marks + place)
    seen = np.ones((2, 33))
    seen[1] = 0.0
    DetectedPeople("mediapipe33", xy, seen, seen, np.zeros((2, 4)), SIZE, marks).save(tmp_path / "k.npz")
    first, second = read_mediapipe(tmp_path / "k.npz", SIZE)
    np.testing.assert_allclose(first.joints, marks[0] + place, atol=1e-6)
    assert second.is_absent and "0 visible landmarks" in second.notes[0]
    body = axis_angle_to_matrices(first.parameters["global_orient"])
    np.testing.assert_allclose(body @ [0, 1, 0], [0, -1, 0], atol=1e-6)  # up is against +Y
    np.testing.assert_allclose(body @ [0, 0, 1], [np.sin(turn) * -1, 0, -np.cos(turn)], atol=1e-6)
    people = read_keypoint_arrays(tmp_path / "k.npz")
    assert people[0].skeleton == "mediapipe33"
    hip = SKELETONS["body25"].index["mid_hip"]
    middle = xy[0][[NAMES.index("left_hip"), NAMES.index("right_hip")]].mean(0)
    np.testing.assert_allclose(convert_keypoints(people[0], "body25").xy[hip], middle)


def test_files_of_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "k.npz", keypoints=np.zeros((1, 33, 2)), scores=np.zeros((1, 33)))
    with pytest.raises(SourceFormatError, match="has no landmarks: was it written with MediaPipe"):
        read_mediapipe(tmp_path / "k.npz", SIZE)
    np.savez(
        tmp_path / "k.npz", keypoints=np.zeros((1, 17, 2)), scores=np.zeros((1, 17)), landmarks=np.zeros(3)
    )
    with pytest.raises(SourceFormatError, match=r"expected keypoints \(N, 33, 2\)"):
        read_mediapipe(tmp_path / "k.npz", SIZE)


def test_the_same_person_found_twice():
    xy = np.random.default_rng(0).uniform(100, 300, (33, 2))
    assert same_person(xy + 5, xy) and not same_person(xy + np.array([90, 0]), xy)


def test_which_detector_is_used(monkeypatch):
    installed = {"rtmlib", "onnxruntime", "cv2", "mediapipe", "absl", "attr", "flatbuffers", "matplotlib"}
    installed.add("google.protobuf")
    monkeypatch.setattr(choice, "find_spec", lambda name: name if name in installed else None)
    with pytest.raises(ValueError, match="detector must be auto, pose or mediapipe, got 'yolo'"):
        chosen_detector("yolo")
    with pytest.raises(ValueError, match="are for detector pose, not mediapipe"):
        chosen_detector("mediapipe", own_weights=True)
    assert chosen_detector() == "pose" and chosen_detector("mediapipe") == "mediapipe"
    installed -= {"onnxruntime", "rtmlib"}
    assert chosen_detector() == "mediapipe"
    with pytest.raises(ModuleNotFoundError, match=r"pose .* lacks rtmlib, onnxruntime: pip install"):
        chosen_detector(own_weights=True)
    installed -= {"flatbuffers", "google.protobuf"}
    with pytest.raises(ModuleNotFoundError) as stop:
        chosen_detector()
    # all that is missing, at once
    for word in ("rtmlib", "onnxruntime", "[pose]", "flatbuffers", "google.protobuf", "[mediapipe]"):
        assert word in str(stop.value)
