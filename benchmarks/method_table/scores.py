"""How good the fit of one synthetic scene is, against its truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap
from apu_losses.fitting import FitResult, Scene, SceneFitter, held_share
from apu_losses.functional.contact_edges import ContactEdges
from apu_losses.functional.metrics import (
    contact_distances,
    contact_scores,
    joint_pa_mpjpe_orders,
    mpjpe,
    pa_mpjpe,
    pcc,
    penetration_depth,
    to_parts,
)
from apu_losses.geometry.operators import contact_map_from_meshes
from apu_losses.synthetic.observe import Observation

BODY_JOINTS = 22
"""The pelvis and SMPL's 21 posed joints: what the errors are taken over."""
TOUCHING = 0.01
"""Metres: regions nearer than this touch, in the truth (`TruthScene.contact_regions`) and in the fit."""


@dataclass(frozen=True)
class SceneScores:
    """One method on one scene. Lengths in metres; NaN where there is nothing to measure.

    Attributes:
        scene, interaction: which scene.
        joint_pa: joint two-person PA-MPJPE, the two people as they are.
        joint_pa_exchanged: the same with the two people exchanged.
        pa: mean over the two people of PA-MPJPE, each aligned on their own.
        mpjpe: the same after laying pelvis on pelvis.
        true_contact: mean distance of the true region pairs on the fitted meshes.
        within_2cm: share of them that are at most 2 cm apart.
        pcc: share of them within a radius, mean over `PCC_RADII`.
        precision, recall, f1: contact between parts, at 1 cm.
        deepest, depth_p95: of the fitted meshes in each other, to the surface.
        keypoint_error: ``(2,)`` pixels at 512 scale, what the filter looks at.
        kept: what the filter says.
        failed: the fit broke off.
        iterations: in all stages.
        limited: stages that ended at their limit of iterations.
        seconds: of fitting.
        held: share of the weight of the method's own contacts that the fit holds (`held_share`).
    """

    scene: str
    interaction: str
    joint_pa: float
    joint_pa_exchanged: float
    pa: float
    mpjpe: float
    true_contact: float
    within_2cm: float
    pcc: float
    precision: float
    recall: float
    f1: float
    deepest: float
    depth_p95: float
    keypoint_error: tuple[float, float]
    kept: bool
    failed: bool = False
    iterations: int = 0
    limited: int = 0
    seconds: float = 0.0
    held: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; what is not finite becomes ``None``."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(v) for v in value]
            return None if isinstance(value, float) and not np.isfinite(value) else value

        return {key: plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SceneScores:
        """Return the inverse of `to_dict`."""
        values: dict[str, Any] = {k: float("nan") if v is None else v for k, v in data.items()}
        values["keypoint_error"] = tuple(float("nan") if v is None else v for v in data["keypoint_error"])
        return cls(**values)


@torch.no_grad()
def score(
    fitter: SceneFitter,
    observations: Sequence[Observation],
    results: Sequence[FitResult],
    given: Sequence[Scene] | None = None,
) -> list[SceneScores]:
    """Measure fits against the truth.

    Args:
        given: what was fitted, for `SceneScores.held`, which is NaN without.
    """
    params = {
        name: np.concatenate([np.asarray(result.parameters[name]) for result in results])
        for name in results[0].parameters
    }
    posed = fitter.body.pose(fitter.tensors(params))
    vertices, joints = posed.vertices(), posed.joints[:, :BODY_JOINTS]
    scores = [
        _score_one(fitter, observation, result, vertices[2 * i : 2 * i + 2], joints[2 * i : 2 * i + 2])
        for i, (observation, result) in enumerate(zip(observations, results, strict=True))
    ]
    if given is None:
        return scores
    return [
        replace(own, held=held_share(scene, result.after))
        for own, scene, result in zip(scores, given, results, strict=True)
    ]


def _score_one(
    fitter: SceneFitter, seen: Observation, result: FitResult, vertices: Tensor, joints: Tensor
) -> SceneScores:
    truth = torch.as_tensor(seen.joints[:, :BODY_JOINTS], dtype=joints.dtype, device=joints.device)
    orders = joint_pa_mpjpe_orders(joints[None], truth[None])
    regions = fitter.geometry.regions
    pairs = seen.truth.contact_regions
    distance = vertices.new_zeros(0)
    if pairs:
        edges = ContactEdges.from_maps(
            [ContactMap(np.array(pairs))], [0], [1], dtype=vertices.dtype, device=vertices.device
        )
        distance, _ = contact_distances(vertices, edges, regions)
    some = len(distance) > 0
    broken = not bool(torch.isfinite(vertices).all())
    precision = recall = f1 = float("nan")
    if not broken:
        found = contact_map_from_meshes(vertices[:1], vertices[1:], regions, threshold=TOUCHING)
        true = torch.zeros_like(found)
        for a, b in pairs:
            true[0, a, b] = True
        scores = contact_scores(to_parts(found), to_parts(true))
        precision, recall, f1 = (float(value[0]) for value in scores)
    row = torch.zeros(1, dtype=torch.int64, device=vertices.device)
    depth = penetration_depth(vertices, fitter.geometry.topology, row, row + 1)
    error = result.after.keypoint_error
    return SceneScores(
        scene=seen.truth.name,
        interaction=seen.truth.interaction,
        joint_pa=float(orders.given[0]),
        joint_pa_exchanged=float(orders.exchanged[0]),
        pa=float(pa_mpjpe(joints, truth).mean()),
        mpjpe=float(mpjpe(joints, truth).mean()),
        true_contact=float(distance.mean()) if some else float("nan"),
        within_2cm=float((distance <= 0.02).float().mean()) if some else float("nan"),
        pcc=float(pcc(distance, torch.zeros_like(distance, dtype=torch.int64), 1).mean()),
        precision=precision,
        recall=recall,
        f1=f1,
        deepest=float(depth.largest[0]),
        depth_p95=float(depth.p95[0]),
        keypoint_error=(float(error[0]), float(error[1])),
        kept=result.verdict.kept,
        failed=result.failed,
        iterations=result.iterations,
        limited=sum(stage.reason == "iteration limit" for stage in result.stages),
        seconds=result.seconds,
    )
