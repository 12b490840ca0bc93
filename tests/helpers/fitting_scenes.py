"""Scenes made from posed free bodies, whose truth is known, and small presets to fit them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from apu_contacts import ContactMap, Keypoints2D, PartContact
from apu_contacts.camera import Camera
from apu_losses.bodies.protocol import BodyModel
from apu_losses.camera import PinholeCamera
from apu_losses.fitting import InitialBody, Preset, Scene, SceneContact, ScenePerson, Stage

WIDTH, HEIGHT = 800, 600
CAMERA = Camera.from_image_size(WIDTH, HEIGHT)
UPRIGHT = (np.pi, 0.0, 0.0)
"""Stands on its feet in a camera frame (y down) and looks at the camera."""

HAND_ON_SHOULDER = ContactMap.from_parts([PartContact("hand", "left", "shoulder", "right")])


def parameters(**values: Sequence[float] | np.ndarray) -> dict[str, np.ndarray]:
    """Body parameters of one upright person 4 m away, with changes."""
    base: dict[str, np.ndarray] = {
        "global_orient": np.array(UPRIGHT),
        "body_pose": np.zeros(63),
        "betas": np.zeros(10),
        "age": np.zeros(1),
        "transl": np.array([0.0, 0.3, 4.0]),
    }
    return {**base, **{name: np.asarray(value, dtype=float) for name, value in values.items()}}


def some_pose(seed: int, size: float = 0.25) -> np.ndarray:
    """A drawn body pose; the spine and collars stay nearly straight."""
    pose = np.random.default_rng(seed).normal(0, size, (21, 3))
    pose[[2, 5, 8, 12, 13]] *= 0.2
    return pose.ravel()


def tensors(
    people: Sequence[Mapping[str, np.ndarray]], dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Parameters of several people as ``(N, size)`` tensors."""
    return {name: torch.as_tensor(np.stack([p[name] for p in people]), dtype=dtype) for name in people[0]}


def seen(body: BodyModel, params: Mapping[str, np.ndarray], confidence: float = 1.0) -> Keypoints2D:
    """The body's own BODY_25 keypoints as a perfect detector would see them."""
    with torch.no_grad():
        points = body.keypoints(body.pose(tensors([params])), "body25")
        camera = PinholeCamera(torch.tensor([CAMERA.focal]).float(), torch.tensor([CAMERA.center]).float())
        xy = camera.project(points)[0].double().numpy()
    return Keypoints2D("body25", xy, np.full(25, confidence))


def person(
    body: BodyModel, start: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray] | None = None
) -> ScenePerson:
    """A person who starts at ``start`` and was seen at ``truth`` (the same by default)."""
    return ScenePerson(seen(body, start if truth is None else truth), InitialBody(start))


def nobody_saw(start: Mapping[str, np.ndarray]) -> ScenePerson:
    """A person without any keypoint."""
    return ScenePerson(Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25)), InitialBody(start))


def scene(people: Sequence[ScenePerson], contacts: Sequence[SceneContact] = (), name: str = "scene") -> Scene:
    return Scene(WIDTH, HEIGHT, people, contacts, CAMERA, name)


def arm_out(side: str = "left") -> np.ndarray:
    """The T-pose with the other arm hanging down."""
    pose = np.zeros((21, 3))
    pose[15 if side == "left" else 16, 2] = 1.2 if side == "left" else -1.2
    return pose.ravel()


def pair(body: BodyModel, gap: float = 0.0, name: str = "pair", **contact: object) -> Scene:
    """Two people side by side; the left hand of one points at the right shoulder of the other."""
    starts = [parameters(transl=[-0.55 - gap, 0.3, 4.0]), parameters(transl=[0.55, 0.3, 4.0])]
    edge = SceneContact(0, 1, contact.pop("map", HAND_ON_SHOULDER), **contact)  # type: ignore[arg-type]
    return scene([person(body, start) for start in starts], [edge], name)


def make_preset(
    weights: Mapping[str, float],
    free: Sequence[str] = ("body_pose", "transl"),
    iterations: int = 20,
    options: Mapping[str, Mapping[str, object]] | None = None,
    **stage: object,
) -> Preset:
    """A preset of one stage that never stops early unless told to."""
    names = [name for name in weights if name in BUILT_IN_NAMES]
    rules: dict[str, object] = {"relative_slope": None, "absolute_slope": None, "learning_rate": 0.02}
    rules.update(stage)
    return Preset(
        "test",
        {name: (options or {}).get(name, {}) for name in names},
        (Stage("only", weights, tuple(free), max_iterations=iterations, **rules),),  # type: ignore[arg-type]
    )


BUILT_IN_NAMES = (
    "keypoints",
    "contact",
    "facing",
    "minimum_distance",
    "penetration",
    "self_penetration",
    "pose_prior",
    "initial_pose",
    "initial_place",
    "hand_pose",
    "finger_limits",
    "shape",
    "stature",
    "orientation",
    "age",
    "ground",
    "depth_order",
    "keypoint_depth",
    "smoothness",
    "foot_lock",
)


def assert_same(a, b, atol=0.0):
    """The same end, in every parameter of every person."""
    for name, value in a.parameters.items():
        np.testing.assert_allclose(b.parameters[name], value, atol=atol, rtol=0, err_msg=name)
    assert [(s.reason, s.iterations) for s in a.stages] == [(s.reason, s.iterations) for s in b.stages]


def mixed_scenes(body):
    """Scenes of 2, 1 and 3 people."""
    alone = scene([person(body, parameters(), parameters(body_pose=some_pose(1)))], name="alone")
    starts = [parameters(transl=[x, 0.3, 5.0]) for x in (-1.2, 0.0, 1.2)]
    three = scene(
        [person(body, s, {**s, "body_pose": some_pose(i, 0.1)}) for i, s in enumerate(starts)],
        [SceneContact(0, 1, HAND_ON_SHOULDER), SceneContact(1, 2, HAND_ON_SHOULDER, "either")],
        "three",
    )
    return [pair(body, 0.1), alone, three]
