"""From what detectors wrote to a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from apu_contacts.camera import Camera
from apu_contacts.sources.detection import InitialEstimate, PersonDetection
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import HAND_POSES
from apu_losses.fitting.scene.types import (
    InitialBody,
    Joints3D,
    Scene,
    SceneContact,
    ScenePerson,
)
from apu_losses.fitting.start.from_keypoints import start_from_keypoints, unstartable
from apu_losses.fitting.start.joint_trust import FINGER_TRUST, JOINT_TRUST
from apu_losses.fitting.start.retarget import own_hand
from apu_losses.fitting.start.retarget_hands import is_finger

_HANDED = ("smplh", "smplx", "free")
StartWithout = Literal["keypoints", "estimate"]
"""What somebody starts from of whom there is no estimate: their keypoints, or nothing."""
STARTED_FROM_KEYPOINTS = "started from keypoints"
"""What the label of such a person says."""
MIN_JOINTS = 4
"""Joints without which a body cannot be placed on an estimate."""


def scene_from_detections(
    detections: Sequence[PersonDetection],
    width: int,
    height: int,
    contacts: Sequence[SceneContact] = (),
    *,
    name: str = "scene",
    image: str | None = None,
    camera: Camera | None = None,
    body: BodyModel | None = None,
    body_model: str | None = None,
    start: StartWithout = "keypoints",
) -> Scene:
    """Return a scene of detected people.

    Estimates that belong to another camera are moved to the scene's (`InitialEstimate.in_camera`). What a
    person starts from is, in this order: all parameters of the estimate, if it is of ``body_model``; its 3D
    joints, to which the body is retargeted; if it has none, the joints that ``body`` has in its pose; and for
    somebody without an estimate the keypoints alone (`start_from_keypoints`), which their label says.

    Args:
        detections: who was seen, each with an initial estimate; see `apu_contacts.people.assembling`.
        width, height: of the image, pixels.
        contacts: who touches whom, by position in ``detections``.
        camera: of the scene; a field of view of 60 degrees over the longer side where it is not given.
        body: to pose the parameters of estimates that come without 3D joints. It need not be the body that
            is fitted: the estimator's own gives the better start.
        body_model: `model_of` the body that is going to be fitted, such as ``"smplx"``: then SMPL-X estimates
            keep their own shape, translation, hands and face instead of being retargeted.
        start: what people without an estimate start from: their ``"keypoints"``, with ``body`` (the free body
            without one); or ``"estimate"``: nothing else will do, and such a person is an error.

    Raises:
        ValueError: a person without an initial estimate whose keypoints show no limb or are not to be started
            from (leave such people out, or give them an estimate), or with one that has neither joints nor a
            body to pose it with.

    Example:
        >>> from apu_losses import scene_from_detections
        >>> from apu_losses.synthetic import load_truth_scenes, observe
        >>> seen = observe(load_truth_scenes("development")[0])  # keypoints and estimates, as detectors err
        >>> scene = scene_from_detections(seen.detections, seen.view.width, seen.view.height)
        >>> len(scene.people), scene.width == seen.view.width, scene.contacts
        (2, True, ())
    """
    camera = camera or Camera.from_image_size(width, height)
    check_start(start)
    missing = {number: p for number, p in enumerate(detections) if p.initial is None or p.initial.is_absent}
    found = _keypoint_starts(missing, camera, body, name) if start == "keypoints" else {}
    people = []
    for number, person in enumerate(detections):
        label = ", ".join(f"{kind} {index}" for kind, index in person.source.items())
        if number in found:
            label = f"{label}; {STARTED_FROM_KEYPOINTS}" if label else STARTED_FROM_KEYPOINTS
            people.append(ScenePerson(person.keypoints, found[number], label))
            continue
        if person.initial is None or person.initial.is_absent:
            raise ValueError(f"{name}: person {number} has no initial estimate to start from: {_why(person)}")
        estimate = in_scene_camera(person.initial, camera)
        try:
            people.append(ScenePerson(person.keypoints, initial_body(estimate, body, body_model), label))
        except ValueError as error:
            raise ValueError(f"{name}: person {number}: {error}") from None
    return Scene(width, height, people, contacts, camera, name, image)


def check_start(start: object) -> None:
    """Raise a `ValueError` unless this is one of `StartWithout`."""
    if start not in get_args(StartWithout):
        raise ValueError(f"start must be 'keypoints' or 'estimate', got {start!r}")


def _keypoint_starts(
    missing: Mapping[int, PersonDetection], camera: Camera, body: BodyModel | None, name: str
) -> dict[int, InitialBody]:
    """Start from keypoints by position, of everybody without an estimate."""
    if not missing:
        return {}
    for number, person in missing.items():
        lacking = unstartable(person.keypoints)
        if lacking:
            raise ValueError(
                f"{name}: person {number} has no initial estimate ({_why(person)}) and cannot be started "
                f"from keypoints: {lacking}"
            )
    if body is None:
        from apu_losses.bodies import load_body

        body = load_body("free")
    starts = start_from_keypoints([person.keypoints for person in missing.values()], camera, body)
    return {number: found.initial() for number, found in zip(missing, starts, strict=True)}


def _why(person: PersonDetection) -> str:
    notes = (*person.notes, *(() if person.initial is None else person.initial.notes))
    return "; ".join(notes) or "no estimator found this person"


def initial_body(
    estimate: InitialEstimate, body: BodyModel | None = None, body_model: str | None = None
) -> InitialBody:
    """Where the fit of one person starts; arguments as for `scene_from_detections`.

    Raises:
        ValueError: if the estimate has too few 3D joints and there is no body to pose it with.
    """
    if body_model is not None and estimate.model == body_model and "transl" in estimate.own:
        return InitialBody({**estimate.parameters, **estimate.own}, None, estimate.flat_hand_mean)
    if _known(estimate) < MIN_JOINTS:
        if body is None:
            raise ValueError(
                f"the estimate of {estimate.estimator!r} has {_known(estimate)} of the 3D joints that a "
                f"start is made of, {MIN_JOINTS} are needed: give body= to pose its parameters with, such as "
                "load_body('SMPLX_NEUTRAL.npz') or load_body('free')"
            )
        estimate = posed_estimate(estimate, body)
    trust = {name: FINGER_TRUST for name in estimate.joint_names if is_finger(name)} | JOINT_TRUST
    known = [i for i, joint in enumerate(estimate.joint_names) if joint in trust]
    names = tuple(estimate.joint_names[i] for i in known)
    joints = Joints3D(names, estimate.joints[known], np.array([trust[n] for n in names]))
    hands = _hands(estimate)
    return InitialBody({**estimate.parameters, **hands}, joints, estimate.flat_hand_mean if hands else None)


def _hands(estimate: InitialEstimate) -> dict[str, NDArray[np.float64]]:
    """Return the poses of an estimate's hands, whose joints all bodies with fingers have in common."""
    if estimate.model not in _HANDED:
        return {}
    return {name: estimate.own[name] for name in HAND_POSES if name in estimate.own}


def _known(estimate: InitialEstimate) -> int:
    return sum(joint in JOINT_TRUST for joint in estimate.joint_names)


def in_scene_camera(estimate: InitialEstimate, camera: Camera) -> InitialEstimate:
    """Return the estimate in the camera frame of the scene; one without a camera of its own is there
    already.
    """
    if estimate.camera is None:
        return estimate
    return estimate.in_camera(camera)


def model_of(body: BodyModel) -> str:
    """Return the body model that a body is of, as `InitialEstimate.model` calls it: ``"smplx"`` for any
    SMPL-X.
    """
    family = getattr(getattr(body, "data", None), "family", None)
    return body.name if body.name == "free" or family is None else str(family.name)


def _of_size(value: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return a parameter cut, or filled with zeros: 16 shape coefficients for 10, 21 joints for SMPL's 23."""
    flat = np.ravel(value)[:size]
    return np.concatenate([flat, np.zeros(size - len(flat))])


def posed_estimate(estimate: InitialEstimate, body: BodyModel) -> InitialEstimate:
    """Return an estimate that came as parameters only, with the 3D joints that ``body`` has in its pose.

    The body's pelvis is put where the estimate's is, or its head where the estimate has no pelvis (Human3R).
    A body of the estimate's own model takes its shape and translation, too; any other is posed in its default
    shape, which gives a start that is right in pose and place, and off in stature. Hands are posed by any
    body that has fingers.

    Raises:
        ValueError: if the estimate has neither pelvis nor head to place the body at, or no orientation.
    """
    import torch

    anchor = next((name for name in ("pelvis", "head") if name in estimate.joint_names), None)
    if anchor is None or "global_orient" not in estimate.parameters:
        raise ValueError(
            f"the estimate of {estimate.estimator!r} has no pelvis or head, or no orientation, to start from"
        )
    own = {**estimate.own} if estimate.model == model_of(body) else _hands(estimate)
    wanted = {**own, **estimate.parameters}
    for name in _hands(estimate):
        wanted[name] = own_hand(body, name, wanted[name], estimate.flat_hand_mean)
    params = {
        name: torch.as_tensor(_of_size(wanted[name], spec.size), dtype=torch.float32, device="cpu")[None]
        for name, spec in body.parameter_specs.items()
        if name in wanted
    }
    with torch.no_grad():
        posed = body.pose(params)
        joints = posed.joints[0].double().cpu().numpy()
        skeleton = "body25"
        points = body.keypoints(posed, skeleton)[0].double().cpu().numpy()
        present = body.keypoint_mask(skeleton).cpu().numpy()
    from apu_contacts.keypoints import SKELETONS

    extra = [
        k
        for k, name in enumerate(SKELETONS[skeleton].joint_names)
        if present[k] and name not in body.joint_names and name != "mid_hip"
    ]
    names = (*body.joint_names, *(SKELETONS[skeleton].joint_names[k] for k in extra))
    xyz = np.concatenate([joints, points[extra]])
    if "transl" not in params:
        place = estimate.joints[estimate.joint_names.index(anchor)]
        xyz = xyz + place - joints[body.joint_names.index(anchor)]
    return replace(estimate, joint_names=names, joints=xyz).with_projection()
