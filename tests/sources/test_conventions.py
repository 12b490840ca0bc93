"""Conventions: each conversion against the definition of both sides, there and back; each likely mistake."""

from __future__ import annotations

import numpy as np
import pytest

from apu_contacts.sources import Camera, ConventionError, InitialEstimate, SourceFormatError
from apu_contacts.sources.checks import check_in_front, check_matrices, check_metres, check_vectors
from apu_contacts.sources.conventions import (
    MEAN_PELVIS,
    axis_angle,
    axis_angle_to_matrices,
    change_camera,
    hand_pose_to_pca,
    matrices_to_axis_angle,
    orientation_from_joints,
    origin_to_pelvis_translation,
    pca_to_hand_pose,
    pelvis_to_origin_translation,
    to_camera_frame,
    translation_to_weak_perspective,
    weak_perspective_to_translation,
)
from apu_contacts.sources.pelvis import check_pelvis

RANDOM = np.random.default_rng(5)


def rodrigues(vector: np.ndarray) -> np.ndarray:
    """The matrix of an axis-angle vector by Rodrigues' formula."""
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


# Rotations


def test_axis_angle_from_every_layout() -> None:
    vectors = RANDOM.uniform(-1, 1, (21, 3))
    matrices = np.array([rodrigues(v) for v in vectors])
    for value in (vectors, vectors.ravel(), vectors[None], matrices, matrices.ravel(), matrices[None]):
        assert np.allclose(axis_angle(value, 21, "pose"), vectors.ravel())
    assert np.allclose(axis_angle_to_matrices(vectors), matrices)
    assert np.allclose(matrices_to_axis_angle(matrices), vectors)
    assert np.allclose(axis_angle(matrices[:1], 1, "root"), vectors[0])


@pytest.mark.parametrize(
    ("value", "joints", "message"),
    [
        (np.zeros(126), 21, "6D rotations exist in a row and a column form"),
        (np.zeros(12), 15, "PCA coefficients of a hand"),
        (np.zeros(69), 21, r"expected 21 rotations, as 63 \(axis-angle\) or 189"),
        (np.full(3, 90.0), 1, "radians: degrees"),
        (2 * np.eye(3), 1, "off a rotation by 3: scaled"),
        (np.diag([1.0, 1, -1]), 1, r"mirrors \(determinant -1\)"),
    ],
)
def test_rotations_that_are_none(value: np.ndarray, joints: int, message: str) -> None:
    with pytest.raises(SourceFormatError, match=message):
        axis_angle(value, joints, "pose")


def test_pca_hands_there_and_back() -> None:
    components = np.linalg.qr(RANDOM.normal(size=(45, 45)))[0]
    mean = RANDOM.normal(size=45)
    for count in (6, 12, 45):
        coefficients = RANDOM.normal(size=count)
        pose = pca_to_hand_pose(coefficients, components, mean)
        assert np.allclose(hand_pose_to_pca(pose, components, mean, count), coefficients)
    assert np.allclose(pca_to_hand_pose(np.zeros(6), components, mean), mean), (
        "no coefficients: the mean hand"
    )
    with pytest.raises(ValueError, match=r"components must have shape \(>= 6, 45\)"):
        pca_to_hand_pose(np.zeros(6), components[:, :6], mean)


def test_orientation_from_joints_is_the_rotation_of_the_trunk() -> None:
    names = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    rest = np.array([[0.1, 0, 0], [-0.1, 0, 0], [0.2, 0.5, 0], [-0.2, 0.5, 0]])
    for _ in range(5):
        vector = RANDOM.uniform(-1.5, 1.5, 3)
        found = orientation_from_joints(names, rest @ rodrigues(vector).T + RANDOM.normal(size=3))
        assert np.allclose(found, vector)
    assert orientation_from_joints(names[:3], rest[:3]) is None
    assert orientation_from_joints(names, np.zeros((4, 3))) is None


# Translations


def test_rotation_about_the_origin_puts_every_point_where_smplx_does() -> None:
    j0, th, vector = np.array([0.0, -0.35, 0.01]), RANDOM.normal(size=3), RANDOM.uniform(-2, 2, 3)
    rest = RANDOM.normal(size=(30, 3))
    transl = origin_to_pelvis_translation(th, vector, j0)
    about_origin = rest @ rodrigues(vector).T + th
    about_pelvis = (rest - j0) @ rodrigues(vector).T + j0 + transl
    assert np.allclose(about_origin, about_pelvis)
    assert np.allclose(pelvis_to_origin_translation(transl, vector, j0), th)
    upside_down = origin_to_pelvis_translation(np.zeros(3), [0, 0, np.pi], j0)
    assert np.linalg.norm(upside_down) == pytest.approx(0.7, abs=0.01), "the 0.7 m of the error message"


def test_world_to_camera_moves_every_point_as_the_camera_does() -> None:
    j0, transl, vector = np.array([0.0, -0.2, 0.03]), RANDOM.normal(size=3), RANDOM.uniform(-2, 2, 3)
    turn, shift = rodrigues(RANDOM.normal(size=3)), RANDOM.normal(size=3)
    rest = RANDOM.normal(size=(30, 3))
    world = (rest - j0) @ rodrigues(vector).T + j0 + transl
    orient, moved = to_camera_frame(vector, transl, j0, (turn, shift))
    assert np.allclose((rest - j0) @ rodrigues(orient).T + j0 + moved, world @ turn.T + shift)


# Cameras


def test_weak_perspective_puts_a_flat_body_where_the_crop_has_it() -> None:
    camera = Camera(800.0, (320.0, 240.0))
    weak, center, size = np.array([0.9, 0.1, -0.2]), np.array([500.0, 100.0]), 180.0
    translation = weak_perspective_to_translation(weak, center, size, camera)
    points = np.column_stack([RANDOM.uniform(-0.8, 0.8, (10, 2)), np.zeros(10)])
    in_crop = weak[0] * (points[:, :2] + weak[1:])  # the crop is the square from -1 to 1
    assert np.allclose(camera.project(points + translation), center + in_crop * size / 2)
    assert np.allclose(translation_to_weak_perspective(translation, center, size, camera), weak)
    many = weak_perspective_to_translation(np.tile(weak, (4, 1)), np.tile(center, (4, 1)), [size] * 4, camera)
    assert many.shape == (4, 3) and np.allclose(many, translation)
    with pytest.raises(ValueError, match="is the camera"):
        weak_perspective_to_translation([0.0, 0.9, 0.1], center, size, camera)


def test_changing_the_camera_keeps_place_and_size_in_the_image() -> None:
    long, short = Camera(10000.0, (500.0, 300.0)), Camera.from_image_size(1000, 600)
    body = RANDOM.uniform(-0.1, 0.1, (40, 3))
    anchor = np.array([1.5, -0.8, 40.0])
    moved, turn = change_camera(anchor, long, short)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)
    before, after = long.project(body + anchor), short.project(body @ turn.T + moved)
    assert np.allclose(short.project(moved), long.project(anchor))
    size = np.ptp(before, axis=0)
    # what is left is the perspective of a near camera, which a far one does not have
    assert np.abs(after - before).max() < 0.12 * size.max()
    unturned = short.project(body + moved)
    assert np.abs(after - before).mean() < 0.7 * np.abs(unturned - before).mean(), "the turn matters"
    back, turn_back = change_camera(moved, short, long)
    assert np.allclose(back, anchor) and np.allclose(turn_back @ turn, np.eye(3))
    same, none = change_camera(anchor, long, long)
    assert np.allclose(same, anchor) and np.allclose(none, np.eye(3))


def test_camera_of_an_image() -> None:
    camera = Camera.from_image_size(500, 332)
    assert camera.focal == pytest.approx(500 / (2 * np.tan(np.pi / 6))) and camera.center == (250, 166)
    with pytest.raises(ValueError, match="focal must be positive"):
        Camera(-5.0, (1, 1))
    with pytest.raises(ValueError, match="center must be two finite"):
        Camera(5.0, (1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="in front of the camera"):
        change_camera([0, 0, -2.0], camera, camera)


def test_an_estimate_in_another_camera() -> None:
    old, new = Camera(9000.0, (500.0, 400.0)), Camera.from_image_size(1000, 800)
    j0 = np.array([0.0, -0.35, 0.01])
    rest = RANDOM.uniform(-0.4, 0.4, (6, 3))
    orient, transl = np.array([2.8, 0.3, 0.1]), np.array([1.0, 0.3, 30.0])
    names = ("pelvis", "left_knee", "right_knee", "neck", "left_wrist", "right_wrist")

    def place(orient: np.ndarray, transl: np.ndarray) -> np.ndarray:
        points = rest @ rodrigues(orient).T + j0 + transl
        points[0] = j0 + transl
        return points

    start = InitialEstimate(
        "x", {"global_orient": orient}, names, place(orient, transl), own={"transl": transl}, camera=old
    )
    moved = start.in_camera(new)
    assert moved.camera == new and np.allclose(
        place(moved.parameters["global_orient"], moved.own["transl"]), moved.joints
    ), "parameters and joints moved alike"
    assert np.allclose(moved.in_camera(old).joints, start.joints)
    shown, was = moved.keypoints(), start.keypoints()
    assert shown is not None and was is not None
    assert np.abs(shown.xy - was.xy)[was.valid].max() < 30 and shown.valid.sum() == 6
    nameless = InitialEstimate("x", {}, names[1:], start.joints[1:], own={"transl": transl}, camera=old)
    assert "transl" not in nameless.in_camera(new).own, "without its pelvis nobody knows"
    with pytest.raises(ValueError, match="needs the old one"):
        InitialEstimate("x", {}, names, start.joints).in_camera(new)


# Checks


def test_units_are_named() -> None:
    person = RANDOM.uniform(0, 1, (20, 3)) * [0.5, 1.7, 0.4]
    assert check_metres(person, "x") < 2
    for factor, unit in ((100, "centimetres"), (1000, "millimetres")):
        with pytest.raises(ConventionError, match=rf"metres are expected: {unit}\?"):
            check_metres(person * factor, "x")
    with pytest.raises(ConventionError, match="normalised"):
        check_metres(person / 100, "x")
    with pytest.raises(ConventionError, match="several people"):
        check_metres(person * 4, "x")


def test_rotations_are_checked() -> None:
    check_vectors(RANDOM.uniform(-3, 3, (5, 3)), "x")
    check_matrices(axis_angle_to_matrices(RANDOM.uniform(-3, 3, (5, 3))), "x")
    with pytest.raises(ConventionError, match="got shape"):
        check_matrices(np.zeros((5, 3)), "x")


def test_a_person_behind_the_camera() -> None:
    check_in_front([2.0, 3.0], "x")
    with pytest.raises(ConventionError, match=r"behind the camera \(z = -2.50\).*OpenGL"):
        check_in_front([-2.0, -3.0], "x")


def test_the_pelvis_tells_the_convention() -> None:
    j0, transl, upside_down = MEAN_PELVIS["smplx"], np.array([0.2, 0.1, 3.0]), np.array([0.0, 0, np.pi])
    check_pelvis(transl + j0 + 0.03, transl, upside_down, j0, "x")
    about_origin = rodrigues(upside_down) @ j0 + transl
    with pytest.raises(ConventionError, match=r"pelvis offset 0.70 m: rotation about the origin"):
        check_pelvis(about_origin, transl, upside_down, j0, "x")
    with pytest.raises(
        ConventionError, match=r"pelvis offset 0.35 m: a translation that is the pelvis itself"
    ):
        check_pelvis(transl, transl, np.array([0.0, 0, 0.1]), j0 * [0, 1, 0], "x")
    with pytest.raises(ConventionError, match="a translation in millimetres"):
        check_pelvis(transl + j0, transl * 1000, upside_down, j0, "x")
    with pytest.raises(ConventionError, match="another frame"):
        check_pelvis(transl + 5, transl, upside_down, j0, "x")
