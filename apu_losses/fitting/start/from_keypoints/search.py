"""The search for a start: hypotheses of all people of a picture, fitted together, mirrored and resized."""

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
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.regions import RegionMap
from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.body_parameters import pose_joints
from apu_losses.fitting.scene.types import InitialBody, Scene, SceneContact, ScenePerson
from apu_losses.fitting.solve.stage import Preset
from apu_losses.fitting.start.from_keypoints.flips import FLIPS, LIMBS, flipped_limb
from apu_losses.fitting.start.from_keypoints.found import KeypointStart, StartHypothesis
from apu_losses.fitting.start.from_keypoints.hypotheses import hypotheses
from apu_losses.fitting.start.from_keypoints.limbs import Outline
from apu_losses.fitting.start.from_keypoints.options import KeypointStartOptions
from apu_losses.fitting.start.from_keypoints.proposal import PoseProposal, propose_poses
from apu_losses.fitting.start.from_keypoints.sizes import Sizes
from apu_losses.fitting.start.from_keypoints.solve import solve_hypotheses
from apu_losses.fitting.start.from_keypoints.touching import DepthLink, depth_links
from apu_losses.fitting.start.joint_trust import JOINT_TRUST
from apu_losses.fitting.start.retarget import stack_parameters
from apu_losses.functional.pose_prior import BODY_JOINTS

Array = NDArray[np.float64]


class Shape(NamedTuple):
    """What a person's body is built like before anything was measured.

    Attributes:
        parameters: ``age (1)``, where somebody said so.
        size: stature over that of the body's default.
    """

    parameters: dict[str, Array]
    size: float


def shapes_of(body: BodyModel, ages: Sequence[float | None]) -> list[Shape]:
    """Return what each person is built like, by the age that somebody said."""
    grown = statures(body, [InitialBody()])[0]
    found = []
    for age in ages:
        if age is None or "age" not in body.parameter_specs:
            found.append(Shape({}, 1.0))
            continue
        given = {"age": np.array([float(age)])}
        found.append(Shape(given, float(statures(body, [InitialBody(given)])[0] / grown)))
    return found


def statures(body: BodyModel, people: Sequence[InitialBody]) -> Array:
    """``(N,)`` metres."""
    params = stack_parameters(body, people, dtype=getattr(body, "dtype", torch.float32))
    with torch.no_grad():
        found: Array = body.stature(params).double().cpu().numpy()
    return found


@dataclass(frozen=True, eq=False)
class Search:
    """Hypotheses of all people of a picture, fitted.

    Attributes:
        people: keypoints in BODY_25 order.
        proposals: what the network proposes for each person, where it is asked.
        owners: ``(H,)`` whose each is.
        mirrored: ``(H,)`` whether a limb of it was mirrored.
        params, anchor: ``(H, size)`` where each ended, and what it was held to.
        loss: ``(H,)``
        joints: ``(H, J, 3)`` metres.
    """

    people: Sequence[Keypoints2D]
    body: BodyModel
    proposals: tuple[PoseProposal | None, ...]
    owners: tuple[int, ...]
    mirrored: tuple[bool, ...]
    params: Mapping[str, Tensor]
    anchor: Mapping[str, Tensor]
    loss: Array
    joints: Array

    @classmethod
    def of_hypotheses(
        cls,
        people: Sequence[Keypoints2D],
        outlines: Sequence[Outline],
        shapes: Sequence[Shape],
        camera: Camera,
        body: BodyModel,
        options: KeypointStartOptions,
    ) -> Search:
        """Every pose that the network proposes, or, where it is not asked, every heading and pose of the
        legs, of every person.
        """
        proposals: list[PoseProposal | None] = [None] * len(people)
        if options.network > 0 and pose_joints(body) == BODY_JOINTS:
            proposals = [propose_poses(keypoints, camera) for keypoints in people]
        with torch.no_grad():
            root = body.pose(stack_parameters(body, [InitialBody()])).joints[0, 0].double().cpu().numpy()
        owners, begun = [], []
        for number, (seen, shape) in enumerate(zip(outlines, shapes, strict=True)):
            for guess in _proposed(proposals[number], seen) or hypotheses(seen, body):
                transl = guess.pop("pelvis") - root
                begun.append(InitialBody({**guess, **shape.parameters, "transl": transl}))
                owners.append(number)
        params = stack_parameters(body, begun, dtype=getattr(body, "dtype", torch.float32))
        flat = [False] * len(owners)
        preset = options.headings if None in proposals else options.proposed
        return cls._solved(people, body, proposals, owners, flat, params, params, camera, preset)

    @classmethod
    def _solved(
        cls,
        people: Sequence[Keypoints2D],
        body: BodyModel,
        proposals: Sequence[PoseProposal | None],
        owners: Sequence[int],
        mirrored: Sequence[bool],
        params: Mapping[str, Tensor],
        anchor: Mapping[str, Tensor],
        camera: Camera,
        preset: Preset,
    ) -> Search:
        width, height = (max(1, round(2 * c)) for c in camera.center)
        scenes = [Scene(width, height, [ScenePerson(people[i])], (), camera) for i in owners]
        solved = solve_hypotheses(body, scenes, params, preset, anchor)
        with torch.no_grad():
            joints: Array = body.pose(solved.params).joints.double().cpu().numpy()
        loss: Array = solved.loss.double().cpu().numpy()
        marks = tuple(proposals), tuple(owners), tuple(mirrored)
        return cls(people, body, *marks, solved.params, anchor, loss, joints)

    def cost(self, options: KeypointStartOptions) -> Array:
        """``(H,)`` the losses, with what speaks against a mirrored limb, and what the network holds against
        it.
        """
        found = self.loss + options.against_flips * np.array(self.mirrored)
        for row, owner in enumerate(self.owners):
            proposal = self.proposals[owner]
            if proposal is not None and np.isfinite(found[row]):
                found[row] += options.network * proposal.held_against(self.joints[row])
        return found

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

    def with_flips(self, camera: Camera, options: KeypointStartOptions) -> Search:
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
        self, sizes: Sizes, shapes: Sequence[Shape], camera: Camera, options: KeypointStartOptions
    ) -> Search:
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
    ) -> Search:
        """Settle bodies that came of these rows."""
        anchor = {name: value[list(rows)] for name, value in self.anchor.items()}
        if None not in self.proposals:
            # so firm a hold would turn a mirrored limb back; the network judges it instead
            turned = torch.tensor(list(mirrored), dtype=torch.bool, device=params["body_pose"].device)[
                :, None
            ]
            anchor["body_pose"] = torch.where(turned, params["body_pose"], anchor["body_pose"])
        owners = [self.owners[row] for row in rows]
        known = self.people, self.body, self.proposals
        preset = options.settle if None in self.proposals else options.proposed_settle
        return self._solved(*known, owners, mirrored, params, anchor, camera, preset)

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
        shapes: Sequence[Shape],
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
            low, high = statures(self.body, [InitialBody(given), InitialBody({**given, "betas": unit})])
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


def _proposed(proposal: PoseProposal | None, outline: Outline) -> list[dict[str, Array]]:
    """Return the network's poses as `hypotheses` returns its own."""
    if proposal is None:
        return []
    poses = zip(proposal.global_orient, proposal.body_pose, strict=True)
    return [{"global_orient": o, "body_pose": p, "pelvis": outline.pelvis} for o, p in poses]
