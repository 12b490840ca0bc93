"""The poses that the network proposes: known numbers, who faces where, and what a start makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS, Keypoints2D
from apu_losses.bodies import load_body
from apu_losses.fitting import start_from_keypoints
from apu_losses.fitting.start.from_keypoints import KeypointStartOptions, proposal
from apu_losses.fitting.start.from_keypoints.proposal import keypoint_features, propose_poses
from apu_losses.functional.metrics import pa_mpjpe
from apu_losses.functional.pose_prior import BODY_JOINTS, relaxed_pose

CAMERA = Camera.from_image_size(640, 480)
NAMES = SKELETONS["body25"].joint_names
KNOWN = [-2.9601, 0.0085, -0.9683, 0.0942, -0.0582, -1.0078, 0.1016]
"""Of the file that ships: where the likeliest body faces, a shoulder, the doubt about a wrist."""
UPRIGHT = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))


@pytest.fixture(scope="module")
def body():
    return load_body("free", backend="torch")


def person(body, heading=0.0, place=(0.0, 0.0, 4.0), **turns):
    """BODY_25 keypoints and the 22 joints of somebody relaxed, but for some joints, axis-angle in degrees."""
    pose = relaxed_pose().numpy().reshape(-1, 3).copy()
    for name, degrees in turns.items():
        pose[BODY_JOINTS.index(name)] = np.radians(degrees)
    values = {
        "global_orient": (UPRIGHT * Rotation.from_rotvec([0, heading, 0])).as_rotvec(),
        "body_pose": pose.ravel(),
        "transl": np.array(place),
    }
    posed = body.pose({n: torch.tensor(v, dtype=torch.float32)[None] for n, v in values.items()})
    points = body.keypoints(posed, "body25")[0].double().numpy()
    xy = points[:, :2] / points[:, 2:] * CAMERA.focal + np.array(CAMERA.center)
    return Keypoints2D("body25", xy, np.full(25, 0.9)), posed.joints[0, :22].double()


def off(found, true):
    """Millimetres by which the likeliest pose's joints are off, after alignment."""
    best = torch.from_numpy(found.joints[found.log_share.argmax()])
    return 1000 * float(pa_mpjpe(best[None], true[None]).mean())


@pytest.mark.parametrize("heading", [0.0, 0.8, np.pi, -1.5])
def test_the_network_sees_how_somebody_stands(body, heading):
    keypoints, true = person(body, heading)
    found = propose_poses(keypoints, CAMERA)
    assert off(found, true) < 45
    facing = Rotation.from_rotvec(found.global_orient[found.log_share.argmax()])
    wanted = UPRIGHT * Rotation.from_rotvec([0, heading, 0])
    assert np.degrees((facing.inv() * wanted).magnitude()) < 30
    assert np.exp(found.log_share).sum() == pytest.approx(1)


def test_an_arm_that_is_stretched_to_the_camera_is_proposed_before_the_body(body):
    keypoints, true = person(body, left_shoulder=(0, -80, -20))
    found = propose_poses(keypoints, CAMERA)
    wrist = BODY_JOINTS.index("left_wrist") + 1
    assert true[wrist, 2] < true[0, 2] - 0.3
    assert found.joints[found.log_share.argmax(), wrist, 2] < -0.2


def test_known_numbers(body):
    found = propose_poses(person(body, 0.5, place=(0.4, 0.1, 3.0))[0], CAMERA)
    best = found.log_share.argmax()
    numbers = [*found.global_orient[best], *found.body_pose[best, 45:48], float(found.doubt[best, 20])]
    assert np.abs(np.array(numbers) - KNOWN).max() < 1e-3


def test_the_middle_of_a_person_is_the_line_of_sight_and_their_size_one_number():
    rng = np.random.default_rng(0)
    across, confidence = rng.uniform(-0.1, 0.1, (1, 17, 2)), np.ones((1, 17))
    across[0, :2] = [[-0.1, -0.1], [0.1, 0.1]]  # the middle is that of the picture
    near, turn = keypoint_features(across, confidence)
    assert np.allclose(turn[0], np.eye(3))
    far, _ = keypoint_features(across / 2, confidence)
    assert np.allclose(far[:, :-1], near[:, :-1])
    assert far[0, -1] - near[0, -1] == pytest.approx(np.log(0.5))
    _, turn = keypoint_features(across + np.array([0.6, -0.2]), confidence)
    sight = np.array([0.6, -0.2, 1.0])
    assert np.allclose(turn[0] @ sight / np.linalg.norm(sight), [0, 0, 1])


def test_the_package_evaluates_what_was_trained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
    from pose_proposal.network import PoseNetwork
    from pose_proposal.pictures import free_skeleton, photograph
    from pose_proposal.poses import anybody

    weights = proposal._weights()
    network = PoseNetwork()
    state = {name: weights[name.replace("blocks.", "block", 1)] for name in network.state_dict()}
    network.load_state_dict({n: torch.as_tensor(v, dtype=torch.float32) for n, v in state.items()})
    rng = np.random.default_rng(3)
    features, _ = photograph(anybody(3, rng), free_skeleton(), rng)
    rotations, logits, log_doubt = (t.detach().double().numpy() for t in network(features))
    for row in range(3):
        said = proposal._evaluate(weights, features[row].double().numpy()).reshape(-1, proposal.PER_POSE)
        assert np.abs(proposal.rotations_of(said[:, :132].reshape(-1, 22, 6)) - rotations[row]).max() < 1e-5
        assert np.abs(said[:, 132] - logits[row]).max() < 1e-4
        assert np.abs(said[:, 133:] + proposal.LOG_DOUBT - log_doubt[row]).max() < 1e-4


def test_nobody_is_proposed_of_nothing():
    assert propose_poses(Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25)), CAMERA) is None
    at_one_place = Keypoints2D("body25", np.full((25, 2), 9.0), np.ones(25))
    assert propose_poses(at_one_place, CAMERA) is None


def test_a_start_is_nearer_to_the_truth_with_the_network(body):
    people = [
        person(body, 0.3, left_shoulder=(0, -80, -20), left_elbow=(0, -40, 0)),
        person(body, 2.6, right_shoulder=(0, 70, 30), right_elbow=(0, 60, 0)),
        person(body, -0.6, left_hip=(-60, 0, 0), left_knee=(70, 0, 0)),
    ]
    errors = {}
    for weight in (0.0, KeypointStartOptions().network):
        options = KeypointStartOptions(network=weight)
        errors[weight] = [
            1000 * float(pa_mpjpe(torch.from_numpy(start.best.joints[None, :22]), true[None]).mean())
            for keypoints, true in people
            for start in start_from_keypoints([keypoints], CAMERA, body, options)
        ]
    without, with_network = errors.values()
    assert np.mean(with_network) < 0.9 * np.mean(without)
    with pytest.raises(ValueError, match="network must be finite and at least 0"):
        KeypointStartOptions(network=-1.0)
