"""A simulated estimator of initial bodies with the habits of BEV: right size in the picture, wrong depth.

It assumes a field of view of 60 degrees, whatever the picture was taken with. Its joints are those of the
free body in the estimated pose and shape, moved by its own definitions: another skeleton than the fitter's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from apu_contacts.camera import Camera
from apu_contacts.sources import InitialEstimate
from apu_losses.synthetic.detector import anatomy
from apu_losses.synthetic.observation_noise import ObservationNoise
from apu_losses.synthetic.scene_truth import TruthScene
from apu_losses.synthetic.view import View

Array = NDArray[np.float64]

_BODY_JOINTS = 22
"""The pelvis and SMPL's 21 posed joints."""

# Radians per axis by kind of joint
_POSE_ERROR = {"shoulder": 0.24, "elbow": 0.24, "knee": 0.17, "hip": 0.15, "wrist": 0.15, "foot": 0.11}
_POSE_ERROR |= {"spine1": 0.07, "spine2": 0.07, "spine3": 0.07, "collar": 0.06}
_OTHER_JOINT = 0.12
_SIZE_AS_DEPTH = 0.5
"""Exponent: how far a person who is taken for smaller is put nearer."""

# fixed, as a definition is: drawn once from a normal distribution of 1.5 cm, mirrored, none at the pelvis
_DEFINITION_SEED, _DEFINITION_METRES = 20, 0.015


def skeleton_offsets() -> Array:
    """``(22, 3)`` metres by which the estimator's joints lie beside ours, in the frame of the trunk."""
    names = anatomy().body.joint_names[:_BODY_JOINTS]
    drawn = np.random.default_rng(_DEFINITION_SEED).normal(0, _DEFINITION_METRES, (_BODY_JOINTS, 3))
    offsets = np.zeros((_BODY_JOINTS, 3))
    for i, name in enumerate(names):
        if name.startswith("left_"):
            offsets[i] = drawn[i]
            offsets[names.index(name.replace("left_", "right_"))] = drawn[i] * [-1, 1, 1]
        elif not name.startswith("right_") and name != "pelvis":
            offsets[i] = drawn[i] * [0, 1, 1]
    return offsets


def estimate(
    truth: TruthScene,
    view: View,
    hidden: NDArray[np.bool_],
    noise: ObservationNoise,
    rng: np.random.Generator,
) -> tuple[InitialEstimate, InitialEstimate]:
    """Return an initial body for each of the two people, in the frame of a camera of 60 degrees.

    Args:
        hidden: ``(2, 17)`` keypoints that cannot be seen: the pose of somebody partly hidden is less sure.
        rng: the count of draws does not depend on the dials.
    """
    body = anatomy().body
    names = body.joint_names[:_BODY_JOINTS]
    true = {name: np.asarray(value, dtype=np.float64) for name, value in truth.parameters.items()}
    kinds = [name.rpartition("_")[2] for name in names[1:]]
    error = np.array([_POSE_ERROR.get(kind, _OTHER_JOINT) for kind in kinds])
    turn_error, pose_error = rng.standard_normal((2, 3)), rng.standard_normal((2, _BODY_JOINTS - 1, 3))
    shape_error, age_error = rng.standard_normal((2, 10)), rng.standard_normal(2)
    depth_error, own_error, side_error = (
        rng.standard_normal(),
        rng.standard_normal(2),
        rng.standard_normal((2, 2)),
    )

    unsure = 1 + 0.15 * np.any(hidden, axis=1, keepdims=True)[:, :, None]
    pose = (1 - noise.pose_shrink) * true["body_pose"].reshape(2, -1, 3)
    pose = pose + noise.pose * unsure * error[:, None] * pose_error
    orient = [
        (
            Rotation.from_rotvec(noise.orientation * turn_error[i])
            * Rotation.from_matrix(view.rotation)
            * Rotation.from_rotvec(true["global_orient"][i])
        ).as_rotvec()
        for i in (0, 1)
    ]
    betas = (1 - noise.shape_shrink) * true["betas"] + noise.shape * shape_error
    age = np.clip(true["age"].reshape(2) * (1 - 0.2 * (noise.age > 0)) + noise.age * np.abs(age_error), 0, 1)
    parameters = {
        "global_orient": np.array(orient),
        "body_pose": pose.reshape(2, -1),
        "betas": betas,
        "age": age[:, None],
    }
    joints, stature = _posed(parameters)
    _, true_stature = _posed({**parameters, "betas": true["betas"], "age": true["age"].reshape(2, 1)})

    camera = Camera.from_image_size(view.width, view.height)
    pelvis = view.to_camera(truth.joints[:, 0])
    depth = pelvis[:, 2] * camera.focal / view.camera.focal
    depth = depth * (stature / true_stature) ** _SIZE_AS_DEPTH
    depth = depth * (1 + noise.shared_depth * depth_error + noise.own_depth * own_error)
    place = np.concatenate([pelvis[:, :2] / pelvis[:, 2:], np.ones((2, 1))], 1)
    place[:, :2] *= view.camera.focal / camera.focal
    place = place * depth[:, None]
    place[:, :2] += noise.lateral * side_error
    trunk = Rotation.from_rotvec(parameters["global_orient"]).as_matrix()
    offsets = noise.skeleton * np.einsum("pij,kj->pki", trunk, skeleton_offsets())
    joints = joints - joints[:, :1] + place[:, None] + offsets
    first, second = (
        InitialEstimate(
            estimator="simulated",
            parameters={name: parameters[name][i] for name in ("global_orient", "body_pose", "age")},
            joint_names=names,
            joints=joints[i],
        )
        for i in (0, 1)
    )
    return first, second


def _posed(parameters: Mapping[str, Array]) -> tuple[Array, Array]:
    """``(2, 22, 3)`` joints of free bodies, metres, and their statures ``(2,)``."""
    body = anatomy().body
    params = {
        name: torch.as_tensor(value, dtype=torch.float32, device="cpu") for name, value in parameters.items()
    }
    with torch.no_grad():
        posed = body.pose(params)
        return posed.joints[:, :_BODY_JOINTS].double().numpy(), body.stature(params).double().numpy()
