"""Put our body where an estimator put its own.

Copying joint rotations to another skeleton leaves arms 13 to 15 cm off: bone lengths, rest poses and joint
definitions differ. So pose, orientation, stature, age and translation are solved so that our joints lie on
the estimator's 3D joints, with a pull to its rotations for what joints cannot tell (the roll of a limb).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.bodies.derivatives import body_derivatives
from apu_losses.bodies.hands import hand_parameter
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import BODY_PARAMETERS, HAND_POSES
from apu_losses.fitting.scene.types import InitialBody, Joints3D
from apu_losses.fitting.start.named_points import named_points
from apu_losses.fitting.start.retarget_hands import is_finger, retarget_hands
from apu_losses.numerics.least_squares import levenberg_marquardt

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RetargetOptions:
    """How far each wish counts, as standard deviations.

    Args:
        joint_metres: of a joint with weight 1.
        rotation_radians: of a joint's rotation vector around the estimator's.
        orientation_radians: of the orientation around the estimator's.
        shape_units: of the shape coefficients but the first.
        first_shape_units: of the first shape coefficient (mostly stature).
        phenotype_units: of Anny's phenotypes, which run from 0 to 1.
        age_units: of the age around the estimator's.
        adult_below: an estimated age under this is taken as an adult's (BEV calls many adults .05 to .15).
    """

    joint_metres: float = 0.02
    rotation_radians: float = 0.7
    orientation_radians: float = 3.0
    shape_units: float = 1.0
    first_shape_units: float = 3.0
    phenotype_units: float = 0.2
    age_units: float = 0.1
    adult_below: float = 0.15


@dataclass(frozen=True)
class RetargetReport:
    """How well it went, per person: ``(N,)`` mean and largest distance of the targeted joints, metres;
    0 for people who came without 3D joints.
    """

    mean_distance: Tensor
    max_distance: Tensor


def initial_parameters(
    body: BodyModel,
    people: Sequence[InitialBody],
    options: RetargetOptions | None = None,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[dict[str, Tensor], RetargetReport]:
    """Start parameters of N people.

    People without 3D joints keep the parameters that they came with; the others are retargeted: the body
    onto all joints but the fingers', then the wrists and fingers onto those.

    Returns:
        ``(N, size)`` by parameter name, and the report.

    Raises:
        ValueError: a parameter the body does not have or of the wrong size, or joints of which the body has
            fewer than four.
    """
    options = options or RetargetOptions()
    device = device or torch.device("cpu")
    params = stack_parameters(body, people, device, dtype)
    report = RetargetReport(*(torch.zeros(len(people), dtype=dtype, device=device) for _ in range(2)))
    # people with the same set of joint names are solved together
    kinds: dict[tuple[str, ...], list[int]] = {}
    for row, person in enumerate(people):
        if person.joints is not None:
            kinds.setdefault(person.joints.names, []).append(row)
    for names, rows in kinds.items():
        joints = [people[row].joints for row in rows]
        _retarget_rows(body, params, report, rows, names, [j for j in joints if j is not None], options)
    return params, report


def stack_parameters(
    body: BodyModel,
    people: Sequence[InitialBody],
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """``(N, size)`` the parameters that people come with, and the body's defaults for the rest.

    A pose of 21 joints fits SMPL's 23, which has two hands more. Somebody who comes with 3D joints is placed
    by them, so that parameters which another body had and this one lacks, and another number of shape
    coefficients, are left out; of somebody who comes with parameters alone they are an error.

    Raises:
        ValueError: a parameter that the body does not have or of the wrong size.
    """
    stacked = {}
    for name, spec in body.parameter_specs.items():
        default = torch.as_tensor(spec.default, dtype=dtype, device=device).expand(spec.size)
        stacked[name] = default.repeat(len(people), 1)
    for row, person in enumerate(people):
        for name, value in person.parameters.items():
            only_a_hint = person.joints is not None and name in BODY_PARAMETERS
            if name not in stacked:
                if only_a_hint:
                    continue
                raise ValueError(
                    f"initial parameter {name!r} of person {row} is unknown to the body {body.name!r}, "
                    f"which has {sorted(stacked)}"
                )
            expected = stacked[name].shape[1]
            if name == "body_pose" and len(value) == 63 and expected == 69:
                value = np.concatenate([value, np.zeros(6)])  # SMPL's two hands come last
            if name in HAND_POSES and person.flat_hand_mean is not None:
                try:
                    value = own_hand(body, name, value, person.flat_hand_mean)
                except ValueError as error:
                    if only_a_hint:
                        continue
                    raise ValueError(f"initial parameter {name!r} of person {row}: {error}") from None
            if len(value) != expected:
                if only_a_hint and name == "betas":
                    continue
                raise ValueError(
                    f"initial parameter {name!r} of person {row} must have {expected} numbers, "
                    f"got {len(value)}"
                )
            stacked[name][row] = torch.as_tensor(value, dtype=dtype, device=device)
    return stacked


def own_hand(body: BodyModel, name: str, pose: Array, flat_hand_mean: bool) -> Array:
    """Return a hand's 15 rotations in the terms of a body (`hand_parameter`); as they are for one without
    hands.
    """
    space = getattr(getattr(body, "data", None), name.removesuffix("_pose"), None)
    return pose if space is None else hand_parameter(space, pose, flat_hand_mean)


def _retarget_rows(
    body: BodyModel,
    params: dict[str, Tensor],
    report: RetargetReport,
    rows: Sequence[int],
    names: tuple[str, ...],
    joints: Sequence[Joints3D],
    options: RetargetOptions,
) -> None:
    some = params["transl"]
    trunk = [number for number, name in enumerate(names) if not is_finger(name)]
    pick, found = named_points(body, [names[number] for number in trunk])
    known = [trunk[number] for number in found]
    if len(known) < 4:
        raise ValueError(
            f"the body {body.name!r} has {len(known)} of the joints {list(names)}: "
            "at least 4 are needed to place it; are these names of another skeleton?"
        )
    every = torch.stack([torch.as_tensor(j.xyz, dtype=some.dtype, device=some.device) for j in joints])
    trust = torch.stack(
        [
            torch.ones(len(names), dtype=some.dtype, device=some.device)
            if j.weights is None
            else torch.as_tensor(j.weights, dtype=some.dtype, device=some.device)
            for j in joints
        ]
    )
    target, weight = every[:, known], trust[:, known]
    for row, trusted in zip(rows, (weight > 0).sum(1).tolist(), strict=True):
        if trusted < 4:
            raise ValueError(
                f"joints of person {row}: {trusted} of the {len(known)} that {body.name!r} has carry "
                "a weight above 0, at least 4 are needed to place it; without joints, parameters are taken"
            )
    # what carries no weight may lie anywhere, also nowhere (NaN)
    target = torch.where(weight[..., None] > 0, target, torch.zeros_like(target))
    row_ids = torch.as_tensor(rows, device=some.device, dtype=torch.int64)
    base = {name: value[row_ids] for name, value in params.items()}
    if "age" in base:
        base["age"] = torch.where(
            base["age"] < options.adult_below, torch.zeros_like(base["age"]), base["age"]
        )
    base["transl"] = base["transl"] + _shift_to(pick(body.pose(base)), target, weight)

    free = _free_parameters(base, options)
    sizes = [base[name].shape[1] for name in free]
    anchor = torch.cat([base[name] for name in free], dim=1)
    sigma = torch.cat(
        [free[name].expand(len(rows), size) for name, size in zip(free, sizes, strict=True)], dim=1
    )
    joint_scale = weight.sqrt()[..., None] / options.joint_metres

    def unpack(x: Tensor) -> dict[str, Tensor]:
        return {**base, **dict(zip(free, x.split(sizes, dim=1), strict=True))}

    def residuals(x: Tensor) -> Tensor:
        offset = (pick(body.pose(unpack(x))) - target) * joint_scale
        return torch.cat([offset.flatten(1), (x - anchor) / sigma], dim=1)

    def jacobian(x: Tensor) -> Tensor:
        offset = pick.derivatives(body_derivatives(body, unpack(x), tuple(free))) * joint_scale[..., None]
        return torch.cat([offset.flatten(1, 2), torch.diag_embed(1 / sigma)], dim=1)

    result = levenberg_marquardt(residuals, anchor, jacobian=jacobian, max_iterations=40, tolerance=1e-4)
    solved = unpack(result.x)
    if "age" in free:
        solved["age"] = solved["age"].clamp(0, 1)
    distance = (pick(body.pose(solved)) - target).norm(dim=-1)
    for name, value in retarget_hands(body, solved, names, every, trust).items():
        params[name][row_ids] = value
    counted = weight > 0
    report.mean_distance[row_ids] = (distance * counted).sum(1) / counted.sum(1).clamp(min=1)
    report.max_distance[row_ids] = (distance * counted).amax(1)


def _free_parameters(base: Mapping[str, Tensor], options: RetargetOptions) -> dict[str, Tensor]:
    """Name -> standard deviation around the start, broadcastable to ``(N, size)``."""
    like = base["transl"]
    free = {
        "global_orient": like.new_tensor([options.orientation_radians]),
        "body_pose": like.new_tensor([options.rotation_radians]),
        "transl": like.new_tensor([1e3]),
    }
    if "betas" in base:
        free["betas"] = torch.full_like(base["betas"][0], options.shape_units)
        free["betas"][0] = options.first_shape_units
    if "phenotypes" in base:
        free["phenotypes"] = torch.full_like(base["phenotypes"][0], options.phenotype_units)
    if "age" in base:
        # an adult stays one: only a person whom the estimator calls a child may change age
        free["age"] = torch.where(base["age"] > 0, options.age_units, 1e-4)
    return {name: sigma for name, sigma in free.items() if name in base}


def _shift_to(points: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """``(N, 3)`` translation that puts the weighted centre of points on that of the target."""
    share = (weight / weight.sum(1, keepdim=True))[..., None]
    return (share * (target - points)).sum(1)
