"""The bodies that people start from where nothing but their 2D keypoints is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from apu_contacts.camera import Camera
from apu_contacts.keypoints import SKELETONS
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.regions import RegionMap
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import pose_joints
from apu_losses.fitting.objective.batch import body25
from apu_losses.fitting.scene.types import InitialBody, Joints3D, Scene, SceneContact, ScenePerson
from apu_losses.fitting.solve.stage import Preset
from apu_losses.fitting.start.from_keypoints.flips import FLIPS, LIMBS, flipped_limb
from apu_losses.fitting.start.from_keypoints.hiding import hiding_order
from apu_losses.fitting.start.from_keypoints.hypotheses import hypotheses
from apu_losses.fitting.start.from_keypoints.limbs import Outline, outline
from apu_losses.fitting.start.from_keypoints.options import KeypointStartOptions
from apu_losses.fitting.start.from_keypoints.sizes import Sizes, ankles_of, settle_sizes
from apu_losses.fitting.start.from_keypoints.solve import solve_hypotheses
from apu_losses.fitting.start.from_keypoints.touching import DepthLink, depth_links, overlapping
from apu_losses.fitting.start.joint_trust import JOINT_TRUST
from apu_losses.fitting.start.retarget import stack_parameters
from apu_losses.functional.pose_prior import BODY_JOINTS

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
        """Return what a `ScenePerson` starts from: hypothesis number ``which``.

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
        f"{seen} body keypoints seen, and no two of them bound a limb whose length would tell how far away "
        "the person is (two shoulders, a hip and a knee, an elbow and a wrist, two ears, ...)"
    )


def start_from_keypoints(
    people: Sequence[Keypoints2D],
    camera: Camera,
    body: BodyModel,
    options: KeypointStartOptions | None = None,
    *,
    ages: Sequence[float | None] | None = None,
    in_front: Sequence[tuple[int, int]] | None = None,
    taller: Sequence[tuple[int, int]] = (),
    contacts: Sequence[SceneContact] = (),
    regions: RegionMap | None = None,
) -> list[KeypointStart]:
    """Return a start for each person of one image, from 2D keypoints alone.

    Headings all around and two poses of the legs are fitted to the keypoints by the library's own terms, all
    in one batch; then the likeliest with each arm and leg mirrored in depth. Everybody is of mean size at
    first; the floor that several people stand on and who hides whom then say who is taller and farther away.

    Args:
        people: everybody of one image, in any skeleton with limbs, pixels.
        camera: that took the image.
        body: the body that is going to be fitted; it must have a pose.
        options: see `KeypointStartOptions`.
        ages: of each person, as the body counts them (0 adult, 1 infant), where somebody said so.
        in_front: pairs ``(nearer, farther)``, where somebody said so; None: what the keypoints show
            (`hiding_order`).
        taller: pairs ``(taller, shorter)``, where somebody said so.
        contacts: of these people, by position: parts that touch are equally far away.
        regions: of ``body``; without them contacts do not count.

    Returns:
        one start a person, in order.

    Raises:
        ValueError: a person of whom no limb is seen (see `unstartable`), a body without a pose, or ages and
            pairs of other people.
    """
    options = options or KeypointStartOptions()
    _check(people, body, ages, [*(in_front or ()), *taller])
    known = [body25(keypoints) for keypoints in people]
    if not people:
        return []
    shapes = _shapes(body, ages or [None] * len(people))
    outlines = []
    for number, keypoints in enumerate(known):
        seen = outline(keypoints, camera)
        if seen is None:
            raise ValueError(f"person {number}: {unstartable(people[number])}")
        size = shapes[number].size
        outlines.append(Outline(size * seen.depth, seen.roll, size * seen.pelvis))
    first = _Search.of_headings(known, outlines, shapes, camera, body, options)
    second = first.with_flips(camera, options)
    likeliest = [second.distinct(number, options)[0] for number in range(len(people))]
    order = hiding_order(known) if in_front is None else list(in_front)
    ankles = [ankles_of(k, second.joints[i], body.joint_names) for k, i in zip(known, likeliest, strict=True)]
    sizes = settle_sizes(
        ankles,
        second.joints[likeliest, 0, 2],
        order,
        options,
        near=overlapping(known, options.near_overlap),
        links=second.links(likeliest, contacts, regions),
        taller=taller,
        statures=np.array([shape.size for shape in shapes]),
    )
    third = second.resized(sizes, shapes, camera, options)
    return [
        third.start(number, float(sizes.sigma[number]), _notes(known[number]), options)
        for number in range(len(people))
    ]


def _check(
    people: Sequence[Keypoints2D],
    body: BodyModel,
    ages: Sequence[float | None] | None,
    pairs: Sequence[tuple[int, int]],
) -> None:
    if not {"global_orient", "body_pose", "transl"} <= set(body.parameter_specs):
        raise ValueError(
            f"the body {body.name!r} has no pose to find from keypoints: its parameters are "
            f"{sorted(body.parameter_specs)}"
        )
    if ages is not None and len(ages) != len(people):
        raise ValueError(f"ages must have one entry a person, {len(people)}, got {len(ages)}")
    for number, age in enumerate(ages or ()):
        if age is not None and not 0 <= age <= 1:
            raise ValueError(
                f"ages[{number}] must lie in 0 (adult) to 1 (infant), got {age}: are these years?"
            )
    for one, other in pairs:
        if one == other or not all(0 <= person < len(people) for person in (one, other)):
            raise ValueError(
                f"in_front (nearer one first) and taller (taller one first) must name two different people "
                f"of 0 to {len(people) - 1}, got {(one, other)}"
            )


def _notes(keypoints: Keypoints2D) -> tuple[str, ...]:
    """Return what is a guess, since no keypoint shows it."""
    names = SKELETONS[keypoints.skeleton].joint_names
    seen = {name for name, valid in zip(names, keypoints.valid, strict=True) if valid}
    parts = {
        "legs": {f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle")},
        "hips": {"left_hip", "right_hip"},
        "arms": {f"{side}_{joint}" for side in ("left", "right") for joint in ("elbow", "wrist")},
        "head": {"nose", "left_ear", "right_ear", "left_eye", "right_eye"},
    }
    return tuple(f"{part} not seen: they are a guess" for part, joints in parts.items() if not joints & seen)


class _Shape(NamedTuple):
    """What a person's body is built like before anything was measured.

    Attributes:
        parameters: ``age (1)``, where somebody said so.
        size: stature over that of the body's default.
    """

    parameters: dict[str, Array]
    size: float


def _shapes(body: BodyModel, ages: Sequence[float | None]) -> list[_Shape]:
    grown = _statures(body, [InitialBody()])[0]
    shapes = []
    for age in ages:
        if age is None or "age" not in body.parameter_specs:
            shapes.append(_Shape({}, 1.0))
            continue
        given = {"age": np.array([float(age)])}
        shapes.append(_Shape(given, float(_statures(body, [InitialBody(given)])[0] / grown)))
    return shapes


def _statures(body: BodyModel, people: Sequence[InitialBody]) -> Array:
    params = stack_parameters(body, people, dtype=getattr(body, "dtype", torch.float32))
    with torch.no_grad():
        statures: Array = body.stature(params).double().cpu().numpy()
    return statures


@dataclass(frozen=True, eq=False)
class _Search:
    """Hypotheses of all people of a picture, fitted.

    Attributes:
        people: keypoints in BODY_25 order.
        owners: ``(H,)`` whose each is.
        mirrored: ``(H,)`` whether a limb of it was mirrored.
        params, anchor: ``(H, size)`` where each ended, and what it was held to.
        loss: ``(H,)``
        joints: ``(H, J, 3)`` metres.
    """

    people: Sequence[Keypoints2D]
    body: BodyModel
    owners: tuple[int, ...]
    mirrored: tuple[bool, ...]
    params: Mapping[str, Tensor]
    anchor: Mapping[str, Tensor]
    loss: Array
    joints: Array

    @classmethod
    def of_headings(
        cls,
        people: Sequence[Keypoints2D],
        outlines: Sequence[Outline],
        shapes: Sequence[_Shape],
        camera: Camera,
        body: BodyModel,
        options: KeypointStartOptions,
    ) -> _Search:
        """Every heading and pose of the legs of every person."""
        with torch.no_grad():
            root = body.pose(stack_parameters(body, [InitialBody()])).joints[0, 0].double().cpu().numpy()
        owners, begun = [], []
        for number, (seen, shape) in enumerate(zip(outlines, shapes, strict=True)):
            for guess in hypotheses(seen, body):
                transl = guess.pop("pelvis") - root
                begun.append(InitialBody({**guess, **shape.parameters, "transl": transl}))
                owners.append(number)
        params = stack_parameters(body, begun, dtype=getattr(body, "dtype", torch.float32))
        flat = [False] * len(owners)
        return cls._solved(people, body, owners, flat, params, params, camera, options.headings)

    @classmethod
    def _solved(
        cls,
        people: Sequence[Keypoints2D],
        body: BodyModel,
        owners: Sequence[int],
        mirrored: Sequence[bool],
        params: Mapping[str, Tensor],
        anchor: Mapping[str, Tensor],
        camera: Camera,
        preset: Preset,
    ) -> _Search:
        width, height = (max(1, round(2 * c)) for c in camera.center)
        scenes = [Scene(width, height, [ScenePerson(people[i])], (), camera) for i in owners]
        solved = solve_hypotheses(body, scenes, params, preset, anchor)
        with torch.no_grad():
            joints: Array = body.pose(solved.params).joints.double().cpu().numpy()
        loss: Array = solved.loss.double().cpu().numpy()
        return cls(people, body, tuple(owners), tuple(mirrored), solved.params, anchor, loss, joints)

    def cost(self, options: KeypointStartOptions) -> Array:
        """``(H,)`` the losses, with what speaks against a mirrored limb."""
        return self.loss + options.against_flips * np.array(self.mirrored)

    def distinct(self, person: int, options: KeypointStartOptions) -> list[int]:
        """Return the hypotheses of a person that differ, the likeliest first.

        Raises:
            ValueError: if none could be fitted.
        """
        rows = [i for i, owner in enumerate(self.owners) if owner == person and np.isfinite(self.loss[i])]
        known = [i for i, name in enumerate(self.body.joint_names) if name in JOINT_TRUST]
        kept: list[int] = []
        cost = self.cost(options)
        for row in sorted(rows, key=lambda i: (cost[i], i)):
            moved = [np.linalg.norm((self.joints[row] - self.joints[k])[known], axis=1).max() for k in kept]
            if len(kept) <= options.alternatives and min(moved, default=np.inf) >= options.apart:
                kept.append(row)
        if not kept:
            raise ValueError(
                f"person {person}: no body could be fitted to the keypoints: are they pixels of the "
                "camera's image?"
            )
        return kept

    def with_flips(self, camera: Camera, options: KeypointStartOptions) -> _Search:
        """Return the distinct hypotheses, and the likeliest with each limb mirrored, settled."""
        rows: list[int] = []
        poses: list[Array | None] = []
        for person in range(len(self.people)):
            kept = self.distinct(person, options)
            mirrored = self._mirrored(kept[0])
            rows += kept + [kept[0]] * len(mirrored)
            poses += [None] * len(kept)
            poses += mirrored
        params = {name: value[rows].clone() for name, value in self.params.items()}
        for number, pose in enumerate(poses):
            if pose is not None:
                params["body_pose"][number] = torch.from_numpy(pose).to(params["body_pose"])
        return self._again(rows, [pose is not None for pose in poses], params, camera, options)

    def resized(
        self, sizes: Sizes, shapes: Sequence[_Shape], camera: Camera, options: KeypointStartOptions
    ) -> _Search:
        """Return the distinct hypotheses with bodies of these sizes."""
        rows = [row for person in range(len(self.people)) for row in self.distinct(person, options)]
        params = {name: value[rows].clone() for name, value in self.params.items()}
        self._resize(params, rows, sizes, shapes)
        return self._again(rows, [self.mirrored[row] for row in rows], params, camera, options)

    def _again(
        self,
        rows: Sequence[int],
        mirrored: Sequence[bool],
        params: Mapping[str, Tensor],
        camera: Camera,
        options: KeypointStartOptions,
    ) -> _Search:
        """Settle bodies that came of these rows."""
        anchor = {name: value[list(rows)] for name, value in self.anchor.items()}
        owners = [self.owners[row] for row in rows]
        return self._solved(self.people, self.body, owners, mirrored, params, anchor, camera, options.settle)

    def links(
        self, rows: Sequence[int], contacts: Sequence[SceneContact], regions: RegionMap | None
    ) -> list[DepthLink]:
        """Return what contacts say of the depths of these bodies, one a person."""
        if regions is None or not any(len(contact.contacts) for contact in contacts):
            return []
        params = {name: value[list(rows)] for name, value in self.params.items()}
        with torch.no_grad():
            vertices: Array = self.body.pose(params).vertices().double().cpu().numpy()
        return depth_links(contacts, vertices, regions, range(len(rows)))

    def _mirrored(self, row: int) -> list[Array]:
        """Poses of one hypothesis with a limb mirrored; none for a body of other joints."""
        if pose_joints(self.body) != BODY_JOINTS:
            return []
        values = {
            name: self.params[name][row].double().cpu().numpy() for name in ("global_orient", "body_pose")
        }
        joints = dict(zip(self.body.joint_names, self.joints[row], strict=False))
        found = [flipped_limb(values, joints, limb, flip) for limb in LIMBS for flip in FLIPS]
        return [pose for pose in found if pose is not None]

    def _resize(
        self,
        params: dict[str, Tensor],
        rows: Sequence[int],
        sizes: Sizes,
        shapes: Sequence[_Shape],
    ) -> None:
        """Make the bodies of those whose size is known taller or smaller, and put them as far away."""
        if "betas" not in params:
            return
        unit = np.zeros(params["betas"].shape[1])
        unit[0] = 1.0
        for number, row in enumerate(rows):
            owner = self.owners[row]
            factor = float(sizes.factor[owner])
            if factor == 1.0:
                continue
            given = shapes[owner].parameters
            low, high = _statures(self.body, [InitialBody(given), InitialBody({**given, "betas": unit})])
            params["betas"][number, 0] += low * (factor - 1) / (high - low)
            shift = self.joints[row, 0] * (factor - 1)
            params["transl"][number] += torch.from_numpy(shift).to(params["transl"])

    def start(
        self, person: int, size_sigma: float, notes: tuple[str, ...], options: KeypointStartOptions
    ) -> KeypointStart:
        """Return what is kept of one person's hypotheses."""
        rows = self.distinct(person, options)
        cost = self.cost(options)[rows]
        odds = np.exp(-(cost - cost[0]) / options.temperature)
        shares = odds / odds.sum()
        found = tuple(
            StartHypothesis(
                {name: value[row].double().cpu().numpy() for name, value in self.params.items()},
                float(self.loss[row]),
                float(share),
                self.joints[row],
            )
            for row, share in zip(rows, shares, strict=True)
        )
        posed = np.stack([h.joints - h.joints[:1] for h in found])
        away = np.square(posed - posed[0]).sum(-1)
        turned = np.square([_turn(found[0], h) for h in found])
        return KeypointStart(
            found,
            self.body.joint_names,
            np.sqrt((shares[:, None] * away).sum(0)),
            float(np.sqrt((shares * turned).sum())),
            size_sigma * float(found[0].joints[0, 2]),
            notes,
        )


def _turn(one: StartHypothesis, other: StartHypothesis) -> float:
    """Radians between the directions that two hypotheses face."""
    first, second = (Rotation.from_rotvec(h.parameters["global_orient"]) for h in (one, other))
    return float((first.inv() * second).magnitude())
