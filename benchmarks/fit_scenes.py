"""Scenes to time the fitter on: variations of the demo's two people, whose truth is known.

Pairs differ in pose, build, distance and the side that the camera sees; they stand so near that they just
touch, and the regions that are nearest are the contact map. Keypoints are the projected ones with noise and
gaps. The start is another estimate of the same people, at a wrong depth and with 3D joints, as an estimator
gives it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from apu_contacts import ContactMap, Keypoints2D
from apu_contacts.camera import Camera
from apu_contacts.regions import RegionMap
from apu_losses.app.demo import demo_scene
from apu_losses.bodies import LinearBlendBody, load_body
from apu_losses.camera import PinholeCamera
from apu_losses.fitting import InitialBody, Joints3D, Scene, SceneContact, ScenePerson
from apu_losses.geometry.operators import nearest_vertex, region_distance_matrix

CAMERA = Camera.from_image_size(800, 800)
STIFF = ("spine", "collar", "neck", "head")
TRUSTED = 22
"""Joints without those of hands and face, which an estimator gives."""

Params = dict[str, np.ndarray]


def demo_variations(count: int, seed: int = 0) -> list[Scene]:
    """``count`` scenes of two people; the n-th is the same whatever the count."""
    body = load_body()
    assert isinstance(body, LinearBlendBody)
    regions = RegionMap.load("free")
    return [
        variation(body, regions, np.random.default_rng([seed, n]), f"variation {n}") for n in range(count)
    ]


def variation(body: LinearBlendBody, regions: RegionMap, rng: np.random.Generator, name: str) -> Scene:
    """One scene."""
    truth = touching(body, drawn_people(body, rng))
    truth = seen_by_the_camera(body, truth, rng)
    with torch.no_grad():
        posed = body.pose(tensors(truth))
        camera = PinholeCamera(torch.full((2,), CAMERA.focal), torch.tensor([CAMERA.center] * 2))
        pixels = camera.project(body.keypoints(posed, "body25")).double().numpy()
        contacts = nearest_regions(posed.vertices(), regions, int(rng.integers(3, 11)))
    guess = estimate(body, truth, rng)
    with torch.no_grad():
        joints = body.pose(tensors(guess)).joints[:, :TRUSTED].double().numpy()
    joints += rng.normal(0, 0.015, joints.shape)
    people = []
    for i in range(2):
        own = {key: value[i] for key, value in guess.items()}
        given = Joints3D(body.joint_names[:TRUSTED], joints[i])
        people.append(ScenePerson(detected(pixels[i], rng), InitialBody(own, given)))
    return Scene(800, 800, people, [SceneContact(0, 1, contacts)], CAMERA, name)


def drawn_people(body: LinearBlendBody, rng: np.random.Generator) -> Params:
    """Return the demo's two people in other poses and of other builds."""
    people = demo_scene().people
    params = {
        key: np.stack([p.initial.parameters[key] for p in people]) for key in people[0].initial.parameters
    }
    params["body_pose"] += bent(body, rng, 0.15)
    params["betas"] += rng.normal(0, 0.8, params["betas"].shape)
    params["transl"] = np.array([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    return params


def bent(body: LinearBlendBody, rng: np.random.Generator, radians: float) -> np.ndarray:
    """``(2, 63)`` drawn bends of all joints; spine, neck and head bend a third as much."""
    scale = [radians / 3 if any(s in name for s in STIFF) else radians for name in body.body_pose_joints]
    return rng.normal(0, np.repeat(scale, 3), (2, 63))


def touching(body: LinearBlendBody, params: Params, gap: float = 0.004) -> Params:
    """Return the second person moved towards the first until their nearest vertices are ``gap`` metres
    apart.
    """
    with torch.no_grad():
        vertices = body.pose(tensors(params)).vertices()
    towards = vertices.new_tensor([-1.0, 0.0, 0.0])
    moved, distance = 0.0, 1.0
    while distance > gap and moved < 2:
        found = nearest_vertex(vertices[:1], vertices[1:] + moved * towards)
        distance = float(found.distance2.min().sqrt())
        moved += max(distance - gap / 2, 0.0)  # nobody can be nearer than that, so nothing is passed through
    params["transl"] = params["transl"] + np.array([[0.0, 0.0, 0.0], [-moved, 0.0, 0.0]])
    return params


def seen_by_the_camera(body: LinearBlendBody, params: Params, rng: np.random.Generator) -> Params:
    """Both turned about the vertical as one, and put 2.5 to 6 metres in front of the camera."""
    turn = Rotation.from_euler("y", rng.uniform(-180, 180), degrees=True)
    orient = turn * Rotation.from_rotvec(params["global_orient"])
    with torch.no_grad():
        pelvis = body.pose(tensors(params)).joints[:, 0].double().numpy()
    center = pelvis.mean(0)
    place = np.array([rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.2), rng.uniform(2.5, 6.0)])
    shift = turn.apply(pelvis - center) + place - pelvis  # a body turns about its pelvis
    return {**params, "global_orient": orient.as_rotvec(), "transl": params["transl"] + shift}


def nearest_regions(vertices: Tensor, regions: RegionMap, count: int) -> ContactMap:
    """Return the ``count`` region pairs of the two bodies that are nearest to each other."""
    squared = region_distance_matrix(vertices[:1], vertices[1:], regions).distance2[0]
    order = squared.flatten().argsort(stable=True)[:count].numpy()
    return ContactMap(np.stack(np.divmod(order, squared.shape[1]), 1), np.ones(count))


def detected(pixels: np.ndarray, rng: np.random.Generator) -> Keypoints2D:
    """Keypoints with an error of 1 % of the person's height, one in ten missing."""
    noise = 0.01 * np.ptp(pixels[:, 1])
    confidence = rng.uniform(0.5, 1.0, len(pixels)) * (rng.random(len(pixels)) > 0.1)
    return Keypoints2D("body25", pixels + rng.normal(0, noise, pixels.shape), confidence)


def estimate(body: LinearBlendBody, truth: Params, rng: np.random.Generator) -> Params:
    """Return what an estimator would say: the mean build, other poses, a depth that is wrong for each
    person.
    """
    lean = Rotation.from_rotvec(rng.normal(0, 0.1, (2, 3))) * Rotation.from_rotvec(truth["global_orient"])
    return {
        "global_orient": lean.as_rotvec(),
        "body_pose": truth["body_pose"] + bent(body, rng, 0.2),
        "betas": np.zeros_like(truth["betas"]),
        "transl": truth["transl"] * (1 + rng.normal(0, 0.03, (2, 1))),
    }


def with_noise(scene: Scene, pixels: float, seed: int) -> Scene:
    """Return the scene with Gaussian noise on every keypoint; missing ones stay missing."""
    rng = np.random.default_rng([seed, 0x5AB])
    people = []
    for person in scene.people:
        seen = person.keypoints
        xy = seen.xy + pixels * rng.standard_normal(seen.xy.shape)
        people.append(replace(person, keypoints=Keypoints2D(seen.skeleton, xy, seen.confidence)))
    return replace(scene, people=people)


def tensors(params: Params) -> dict[str, Tensor]:
    """Parameters as the body takes them."""
    return {key: torch.as_tensor(value, dtype=torch.float32) for key, value in params.items()}
