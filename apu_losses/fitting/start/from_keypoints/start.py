"""The bodies that people start from where nothing but their 2D keypoints is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_contacts.camera import Camera
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.objective.batch import body25
from apu_losses.fitting.scene.types import InitialBody, Joints3D, Scene, ScenePerson
from apu_losses.fitting.start.from_keypoints.hypotheses import hypotheses
from apu_losses.fitting.start.from_keypoints.limbs import Outline, outline
from apu_losses.fitting.start.from_keypoints.options import KeypointStartOptions
from apu_losses.fitting.start.from_keypoints.solve import Solved, solve_hypotheses
from apu_losses.fitting.start.joint_trust import JOINT_TRUST
from apu_losses.fitting.start.retarget import stack_parameters

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StartHypothesis:
    """One body that explains the keypoints.

    Args:
        parameters: body parameters by their smplx names.
        loss: what the fit to the keypoints ended at, priors included; lower is likelier.
        share: how likely it is among the hypotheses that were kept, 0 to 1.
        joints: ``(J, 3)`` the body's joints, metres, camera frame.
    """

    parameters: Mapping[str, Array]
    loss: float
    share: float
    joints: Array


@dataclass(frozen=True, eq=False)
class KeypointStart:
    """Where one person starts who has keypoints and no estimate, and how sure that is.

    Args:
        hypotheses: the likeliest first; what differs by less than `KeypointStartOptions.apart` is one.
        joint_names: of the body.
        joint_sigma: ``(J,)`` metres; how far each joint may lie from where it should, relative to the pelvis:
            the spread of the hypotheses.
        heading_sigma: radians; likewise of the direction that the person faces.
        depth_sigma: metres; how far the whole person may lie along the line of sight, since nobody knows how
            tall they are.
        notes: what was seen too little to tell, in words.
    """

    hypotheses: tuple[StartHypothesis, ...]
    joint_names: tuple[str, ...]
    joint_sigma: Array
    heading_sigma: float
    depth_sigma: float
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> StartHypothesis:
        """The likeliest hypothesis."""
        return self.hypotheses[0]

    def initial(self, which: int = 0) -> InitialBody:
        """What a `ScenePerson` starts from: hypothesis number ``which``.

        The joints stand beside the parameters, so that any other body is put on them, too.
        """
        chosen = self.hypotheses[which]
        known = [i for i, name in enumerate(self.joint_names) if name in JOINT_TRUST]
        names = tuple(self.joint_names[i] for i in known)
        trust = np.array([JOINT_TRUST[name] for name in names])
        return InitialBody(dict(chosen.parameters), Joints3D(names, chosen.joints[known], trust))


def unstartable(keypoints: Keypoints2D) -> str:
    """Why nobody could be started from these keypoints, in words; empty for enough of them."""
    known = body25(keypoints)
    if outline(known, Camera(1.0, (0.0, 0.0))) is not None:
        return ""
    seen = int((known.confidence > 0).sum())
    return (
        f"{seen} body keypoints seen, and no two of them bound a limb whose length would tell how far away the "
        "person is (two shoulders, a hip and a knee, an elbow and a wrist, two ears, ...)"
    )


def start_from_keypoints(
    people: Sequence[Keypoints2D],
    camera: Camera,
    body: BodyModel,
    options: KeypointStartOptions | None = None,
) -> list[KeypointStart]:
    """A start for each person of one image, from 2D keypoints alone.

    Headings all around and two poses of the legs are fitted to the keypoints by the library's own terms, all
    in one batch. The start of a person hangs on nobody else of the batch.

    Args:
        people: keypoints in any skeleton with limbs, pixels.
        camera: that took the image.
        body: the body that is going to be fitted, with a pose.
        options: see `KeypointStartOptions`.

    Returns:
        one start a person, in order.

    Raises:
        ValueError: a person of whom no limb is seen (see `unstartable`), or a body without a pose.
    """
    options = options or KeypointStartOptions()
    if not {"global_orient", "body_pose", "transl"} <= set(body.parameter_specs):
        raise ValueError(
            f"the body {body.name!r} has no pose to find from keypoints: its parameters are "
            f"{sorted(body.parameter_specs)}"
        )
    known = [body25(keypoints) for keypoints in people]
    seen = [outline(keypoints, camera) for keypoints in known]
    for number, found in enumerate(seen):
        if found is None:
            raise ValueError(f"person {number}: {unstartable(people[number])}")
    if not people:
        return []
    owners, solved = _headings(known, [o for o in seen if o is not None], camera, body, options)
    joints = _joints(body, solved.params)
    return [
        _start(solved, joints, [i for i, o in enumerate(owners) if o == number], body, options)
        for number in range(len(people))
    ]


def _headings(
    people: Sequence[Keypoints2D],
    outlines: Sequence[Outline],
    camera: Camera,
    body: BodyModel,
    options: KeypointStartOptions,
) -> tuple[list[int], Solved]:
    """All hypotheses of all people, fitted, and the person of each."""
    first = stack_parameters(body, [InitialBody()])
    with torch.no_grad():
        root = body.pose(first).joints[0, 0].double().cpu().numpy()
    owners, started, scenes = [], [], []
    width, height = (max(1, round(2 * c)) for c in camera.center)
    for number, (keypoints, seen) in enumerate(zip(people, outlines, strict=True)):
        for guess in hypotheses(seen, body):
            transl = guess.pop("pelvis") - root
            started.append(InitialBody({**guess, "transl": transl}))
            scenes.append(Scene(width, height, [ScenePerson(keypoints)], (), camera))
            owners.append(number)
    params = stack_parameters(body, started, dtype=getattr(body, "dtype", torch.float32))
    return owners, solve_hypotheses(body, scenes, params, options.headings)


def _joints(body: BodyModel, params: Mapping[str, Tensor]) -> Array:
    with torch.no_grad():
        joints: Array = body.pose(params).joints.double().cpu().numpy()
    return joints


def _start(
    solved: Solved, joints: Array, rows: Sequence[int], body: BodyModel, options: KeypointStartOptions
) -> KeypointStart:
    """What is kept of one person's hypotheses."""
    loss = solved.loss.double().cpu().numpy()
    order = sorted((row for row in rows if np.isfinite(loss[row])), key=lambda row: (loss[row], row))
    if not order:
        raise ValueError("no hypothesis could be fitted to the keypoints: are they in pixels of this camera?")
    kept: list[int] = []
    for row in order:
        if len(kept) > options.alternatives:
            break
        apart = [np.linalg.norm(joints[row] - joints[other], axis=-1).mean() for other in kept]
        if min(apart, default=np.inf) >= options.apart:
            kept.append(row)
    odds = np.exp(-(loss[kept] - loss[kept[0]]) / options.temperature)
    shares = odds / odds.sum()
    found = tuple(
        StartHypothesis(
            {name: value[row].double().cpu().numpy() for name, value in solved.params.items()},
            float(loss[row]),
            float(share),
            joints[row],
        )
        for row, share in zip(kept, shares, strict=True)
    )
    return _with_spread(found, body.joint_names, options)


def _with_spread(
    found: tuple[StartHypothesis, ...], joint_names: tuple[str, ...], options: KeypointStartOptions
) -> KeypointStart:
    shares = np.array([h.share for h in found])
    posed = np.stack([h.joints - h.joints[:1] for h in found])
    away = np.square(posed - posed[0]).sum(-1)
    return KeypointStart(
        found,
        joint_names,
        np.sqrt((shares[:, None] * away).sum(0)),
        float(np.sqrt((shares * np.square([_turn(found[0], h) for h in found])).sum())),
        options.stature_sigma * float(found[0].joints[0, 2]),
    )


def _turn(one: StartHypothesis, other: StartHypothesis) -> float:
    """Radians between the directions that two hypotheses face."""
    from scipy.spatial.transform import Rotation

    first, second = (Rotation.from_rotvec(h.parameters["global_orient"]) for h in (one, other))
    return float((first.inv() * second).magnitude())
