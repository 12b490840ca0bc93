"""Measurements of posed scenes: contact, keypoints, penetration, and whether the bodies are still plausible.

Contact and keypoint error alone can be bought with broken bodies, so a result always carries how far the
pose and the stature moved from the start as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from apu_contacts.regions import PARTS, part_regions
from apu_losses.fitting.body_parameters import SHAPES, pose_joints, shape_parameter, smplx_pose
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.place import middle_depth
from apu_losses.functional.contact_edges import Over
from apu_losses.functional.metrics.build import body_volumes, part_thickness
from apu_losses.functional.metrics.contact import contact_distances
from apu_losses.functional.metrics.penetration import summarise_depths, vertex_depths
from apu_losses.functional.options import check_choice
from apu_losses.functional.plausibility import PoseChange, pose_change, shape_change
from apu_losses.functional.reprojection import keypoint_error


def number_or_nan(value: Any) -> Any:
    """Return a number that was written to JSON, where ``null`` stands for what is not finite."""
    return float("nan") if value is None else value


@dataclass(frozen=True)
class SceneMetrics:
    """Measurements of one scene with P people.

    Attributes:
        contact_distance: metres, smallest distance of each region pair of all its contacts, in order. Of an
            edge of which it is open who is who, in the order in which its contacts are nearer (by the
            weighted sum of squared distances).
        part_distance: metres, smallest distance of each part contact (the nearest of its region pairs).
        keypoint_error: ``(P,)`` mean keypoint distance, pixels at 512 scale, confidence above 0.2; NaN where
            a person has no such keypoint.
        confident_keypoint_error: ``(P,)`` the same over confidence above 0.5.
        inside_vertices: vertices that lie inside another person, all pairs together.
        depth_p95: metres, 95th percentile of their depth to the nearest surface; 0 where none is inside, NaN
            where a body is not finite.
        depth_max: metres, the deepest.
        pose_change_rms, pose_change_max, spine_change_max: ``(P,)`` degrees from the start of the fit.
        stature_change: ``(P,)`` metres from the start, signed.
        shape_change: ``(P,)`` largest change of a shape coefficient from the start, in its units; 0 for a
            body without shape.
        hand_keypoint_error: ``(P,)`` as ``keypoint_error`` for the keypoints of both hands; NaN for a person
            without, empty where nobody's hand was seen.
        robust_keypoint_error: ``(P,)`` as ``confident_keypoint_error``, without the worst tenth of a person's
            joints (at least one of five or more); of all joints above 0.2 where none is above 0.5.
        volume_change: ``(P,)`` share of the volume at rest won or lost from the start, signed.
        thickness_change: ``(P,)`` the same of the thickness of the part that changed most.
        depth_order_wrong: metres by which somebody whom the scene's ``depth_order`` calls nearer is farther
            away, of the worst pair; 0 where all are right.
        depth: ``(P,)`` metres from the camera to the middle of each person, along the viewing direction.
    """

    contact_distance: tuple[float, ...]
    part_distance: tuple[float, ...]
    keypoint_error: tuple[float, ...]
    confident_keypoint_error: tuple[float, ...]
    inside_vertices: int
    depth_p95: float
    depth_max: float
    pose_change_rms: tuple[float, ...]
    pose_change_max: tuple[float, ...]
    spine_change_max: tuple[float, ...]
    stature_change: tuple[float, ...]
    shape_change: tuple[float, ...] = ()
    hand_keypoint_error: tuple[float, ...] = ()
    robust_keypoint_error: tuple[float, ...] = ()
    volume_change: tuple[float, ...] = ()
    thickness_change: tuple[float, ...] = ()
    depth_order_wrong: float = 0.0
    depth: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain lists and numbers."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SceneMetrics:
        """Return the inverse of `to_dict`; ``null``, which is JSON's for what is not finite, becomes NaN.

        Raises:
            TypeError: a key that a record of measurements does not have, or one that is missing.
        """
        values: dict[str, Any] = {
            name: tuple(map(number_or_nan, v)) if isinstance(v, list) else number_or_nan(v)
            for name, v in data.items()
        }
        return cls(**values)

    def contact_share(self, metres: float, *, over: Over = "parts") -> float:
        """Share of contacts that are nearer than this; NaN for a scene without contacts.

        Args:
            metres: the limit.
            over: ``"parts"``: contacts of parts, whose nearest points count; ``"pairs"``: every region pair.

        Raises:
            ValueError: an unknown ``over``.
        """
        check_choice("over", over, Over)
        distances = self.contact_distance if over == "pairs" else self.part_distance
        return sum(d <= metres for d in distances) / len(distances) if distances else float("nan")


@torch.no_grad()
def evaluate(state: FitState) -> list[SceneMetrics]:
    """Measure every scene of a state; one entry a scene."""
    batch = state.batch
    pairs, parts = _contact_distances(state, "pairs"), _contact_distances(state, "parts")
    error = keypoint_error(state.keypoints2d, batch.keypoints, batch.confidence, batch.scale)
    confident = keypoint_error(
        state.keypoints2d, batch.keypoints, batch.confidence, batch.scale, min_confidence=0.5
    )
    hand, hands = torch.full_like(error, torch.nan), batch.per_scene(batch.sees_hand.any(1).float())
    if batch.any_hand:
        hand = keypoint_error(state.hands2d, batch.hand_keypoints, batch.hand_confidence, batch.scale)
    depths = vertex_depths(state.vertices, state.topology, batch.pair_a, batch.pair_b)
    broken = batch.per_scene(depths.broken.float(), batch.pair_scene) > 0
    depth = summarise_depths(depths.depth, batch.pair_scene[depths.pair], broken)
    change = _pose_change(state)
    stature = state.stature - state.body.stature(state.start)

    name = shape_parameter(state.body)
    shape = torch.zeros_like(stature)
    if name is not None:
        shape = shape_change(state.params[name], state.start[name])

    robust = keypoint_error(
        state.keypoints2d, batch.keypoints, batch.confidence, batch.scale, min_confidence=0.5, trim=0.1
    )
    weak = keypoint_error(state.keypoints2d, batch.keypoints, batch.confidence, batch.scale, trim=0.1)
    robust = torch.where(confident.isnan(), weak, robust)
    volume, thickness = _build_change(state)
    order = _depth_order_wrong(state)
    middle = middle_depth(state)

    def of_people(values: Tensor, scene: int) -> tuple[float, ...]:
        return tuple(values[batch.row_scene == scene].tolist())

    metrics = []
    for scene in range(batch.size):
        metrics.append(
            SceneMetrics(
                contact_distance=pairs[scene],
                part_distance=parts[scene],
                keypoint_error=of_people(error, scene),
                confident_keypoint_error=of_people(confident, scene),
                inside_vertices=0 if broken[scene] else int(depth.inside[scene]),
                depth_p95=float(depth.p95[scene]),
                depth_max=float(depth.largest[scene]),
                pose_change_rms=of_people(change.rms, scene),
                pose_change_max=of_people(change.largest, scene),
                spine_change_max=of_people(change.spine, scene),
                stature_change=of_people(stature, scene),
                shape_change=of_people(shape, scene),
                hand_keypoint_error=of_people(hand, scene) if bool(hands[scene]) else (),
                robust_keypoint_error=of_people(robust, scene),
                volume_change=of_people(volume, scene),
                thickness_change=of_people(thickness, scene),
                depth_order_wrong=order[scene],
                depth=of_people(middle, scene),
            )
        )
    return metrics


def _build_change(state: FitState) -> tuple[Tensor, Tensor]:
    """``(N,)`` shares of volume, and of the thickness of the part that changed most, won or lost."""
    names = [name for name in (*SHAPES, "age") if name in state.params]
    still = state.vertices.new_zeros(state.batch.rows)
    if not names:
        return still, still
    places = state.vertices.new_zeros(state.batch.rows, 3)
    parts = [
        ids
        for part in PARTS
        for ids in [torch.cat([state.regions.vertices(r) for r in part_regions(part, "left")])]
        if len(ids) >= 4
    ]

    def measured(params: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        shape = {name: params[name] for name in names}
        vertices = state.body.pose({"transl": places, **shape}).vertices()
        return body_volumes(vertices, state.topology.faces), part_thickness(vertices, parts)

    now = measured(state.params)
    # the start itself is measured once: all this is a tenth of a short fit
    same = all(state.params[name] is state.start[name] for name in names)
    start = now if same else measured(state.start)
    volume = now[0] / start[0] - 1
    if not parts:
        return volume, still
    thickness = now[1] / start[1] - 1
    most = thickness.abs().nan_to_num(torch.inf).argmax(1, keepdim=True)
    return volume, thickness.gather(1, most)[:, 0]


def _depth_order_wrong(state: FitState) -> list[float]:
    """Of each scene, metres by which the worst pair of its ``depth_order`` is the other way round."""
    batch = state.batch
    depth = middle_depth(state)
    wrong = []
    for index, scene in enumerate(batch.scenes):
        own = depth[batch.row_scene == index].tolist()
        wrong.append(max((own[near] - own[far] for near, far in scene.depth_order), default=0.0))
    return [max(value, 0.0) if value == value else value for value in wrong]


def _contact_distances(state: FitState, over: Over) -> list[tuple[float, ...]]:
    """Of each scene, the distance of each of its contacts in the order of its maps, metres."""
    batch = state.batch
    distance, edge = contact_distances(state.vertices, batch.contact_edges(over), state.regions)
    # what was read in the exchanged order stands at the end
    order = torch.argsort(edge, stable=True)
    distance, owner = distance[order], batch.edge_scene[edge[order]]
    return [tuple(distance[owner == scene].tolist()) for scene in range(batch.size)]


def _pose_change(state: FitState) -> PoseChange:
    """Of SMPL-X's 21 body joints; of all joints for a body with others; none for a body that has no pose."""
    pose, start = (smplx_pose(state.body, params) for params in (state.params, state.start))
    if pose is not None and start is not None:
        return pose_change(pose, start)
    names = pose_joints(state.body)
    if not names:
        still = state.vertices.new_zeros(state.batch.rows)
        return PoseChange(still, still, still, still.long())
    spine = [i for i, name in enumerate(names) if name.startswith("spine")]
    return pose_change(state.params["body_pose"], state.start["body_pose"], spine=spine)
