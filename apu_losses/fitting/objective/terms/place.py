"""Where people are: on the floor, and in front of or behind each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from apu_contacts.regions import part_regions
from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.depth_order import OrderForm, depth_order_energy
from apu_losses.functional.ground import below_ground, feet_on_ground, fit_ground, ground_height


@dataclass(frozen=True)
class GroundTerm:
    """Feet stand on the floor and nothing is below it; square metres.

    The floor is the scene's ``ground``; a scene without one gets the floor under the soles that its people
    start with (`apu_losses.functional.fit_ground`).

    Options: ``feet``, factor on the lowest point of each foot; ``below``, factor on the sum over all vertices
    under the floor; ``robust``, metres above which a foot is lifted and let go, or ``None``.
    """

    feet: float = 1.0
    below: float = 1.0
    robust: float | None = 0.1
    _floors: list[tuple[Mapping[str, Tensor], Tensor]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_options(self, "robust")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        plane = self._planes(state)[batch.row_scene]
        vertices = state.vertices
        height = (vertices * plane[:, None, :3]).sum(2) - plane[:, None, 3]
        people = torch.arange(batch.rows, device=vertices.device)
        value = vertices.new_zeros(batch.size)
        for side in ("left", "right"):
            ids = torch.cat([state.regions.vertices(r) for r in part_regions("foot", side)])
            if not len(ids) or not self.feet:
                continue
            lowest = ids[height[:, ids].argmin(1)]
            sole = ground_height(state.select(people, lowest), plane)
            value = value + self.feet * batch.per_scene(feet_on_ground(sole, robust=self.robust))
        row, vertex = torch.nonzero(height < 0, as_tuple=True)
        if len(row) and self.below:
            sunk = below_ground(ground_height(state.select(row, vertex), plane[row]))
            value = value + self.below * batch.per_scene(sunk, batch.row_scene[row])
        # a body that is not finite is below nothing, which must not read as well placed
        broken = batch.per_scene((~height.isfinite().all(1)).to(value.dtype)) > 0
        return torch.where(broken, torch.nan, value)

    def _planes(self, state: FitState) -> Tensor:
        """``(S, 4)`` the floor of each scene. The start stays the same object while scenes stay."""
        if self._floors and self._floors[0][0] is state.start:
            return self._floors[0][1]
        batch = state.batch
        given = [scene.ground for scene in batch.scenes]
        planes = [state.vertices.new_tensor(plane or (0.0, 0.0, 0.0, 0.0)) for plane in given]
        if None in given:
            with torch.no_grad():
                vertices = state.body.pose(state.start).vertices()
            rows = torch.arange(batch.rows, device=vertices.device)
            soles = vertices[rows, vertices[..., 1].argmax(1)]  # +Y is down
            for number, plane in enumerate(given):
                if plane is None:
                    planes[number] = fit_ground(soles[batch.row_scene == number])
        stacked = torch.stack(planes)
        self._floors[:] = [(state.start, stacked)]
        return stacked


@dataclass(frozen=True)
class InitialPlaceTerm:
    """People stay where the fit starts, square metres of the translation.

    Keypoints say where a person is across the line of sight, and little of how far away: noise of a pixel is
    centimetres of depth. What an estimate knows of depth is lost without this. 0 for a body without a place.
    """

    separable = True

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        if "transl" not in state.params:
            return state.batch.keypoints.new_zeros(state.batch.size)
        return state.per_scene((state.params["transl"] - state.start["transl"]).square().sum(1))


@dataclass(frozen=True)
class DepthOrderTerm:
    """Who hides another is the nearer one by the depth of the pelvis: the pairs of ``Scene.depth_order``.

    A body without a pelvis (given meshes) has that of the middle of its hips, else of its named points.

    Options: ``form``: ``"hinge"`` (square metres) or ``"logistic"``; ``margin``, metres. See
    `apu_losses.functional.depth_order_energy`.
    """

    form: OrderForm = "hinge"
    margin: float = 0.1

    def __post_init__(self) -> None:
        check_options(self, "margin")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        pairs = _said_pairs(batch)
        if not pairs:
            return batch.keypoints.new_zeros(batch.size)
        depth = middle_depth(state)
        near, far, owner = torch.tensor(pairs, device=depth.device, dtype=torch.int64).unbind(1)
        energy = depth_order_energy(depth[near], depth[far], form=self.form, margin=self.margin)
        return batch.per_scene(energy, owner)


def _said_pairs(batch: SceneBatch) -> list[tuple[int, int, int]]:
    """Return rows of the nearer and of the farther one, and their scene, of every order that is said."""
    first = torch.searchsorted(
        batch.row_scene, torch.arange(batch.size, device=batch.row_scene.device)
    ).tolist()
    return [
        (first[s] + near, first[s] + far, s)
        for s, scene in enumerate(batch.scenes)
        for near, far in scene.depth_order
    ]


def middle_depth(state: FitState) -> Tensor:
    """``(N,)`` how far the middle of each body is from the camera, metres."""
    return state.joints[:, _middle(state.body.joint_names), 2].mean(1)


def _middle(joint_names: Sequence[str]) -> list[int]:
    """Return the joints whose mean is the middle of a body."""
    for names in (("pelvis",), ("left_hip", "right_hip")):
        if set(names) <= set(joint_names):
            return [joint_names.index(name) for name in names]
    return list(range(len(joint_names)))
