"""Fit many hypotheses at once, with the stages and terms of the library's own fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.objective.batch import SceneBatch, make_batch
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.scene.types import Scene
from apu_losses.fitting.solve.loop import run_stage
from apu_losses.fitting.solve.progress import Audience, Params
from apu_losses.fitting.solve.registry import build_terms
from apu_losses.fitting.solve.stage import Preset
from apu_losses.geometry.topology import MeshTopology, RegionIndex


class Solved(NamedTuple):
    """Where hypotheses ended, ``(H, size)`` by parameter, and their loss ``(H,)``; infinite for one that
    failed.
    """

    params: Params
    loss: Tensor


def solve_hypotheses(
    body: BodyModel,
    scenes: Sequence[Scene],
    params: Mapping[str, Tensor],
    preset: Preset,
    anchor: Mapping[str, Tensor] | None = None,
) -> Solved:
    """Fit scenes of one person each, all in one batch.

    Args:
        params: ``(H, size)`` where each starts.
        preset: a preset whose terms look at joints and keypoints only, never at the mesh.
        anchor: what pose and heading are held to; where each starts by default.
    """
    some = params["transl"]
    preset, _ = preset.for_parameters(body.parameter_specs)
    terms = build_terms(preset, {})
    batch = make_batch(scenes, some.device, some.dtype, body)
    start = {name: value.clone() for name, value in (anchor or params).items()}
    moved = {name: value.clone() for name, value in params.items()}

    def state(batch: SceneBatch, params: Params, start: Params, reference: Params) -> FitState:
        # no term of these presets asks for regions or faces
        regions, topology = cast(RegionIndex, None), cast(MeshTopology, None)
        return FitState(body, regions, topology, batch, params, start, reference)

    active = torch.arange(len(scenes), device=some.device)
    audience = Audience(None, active)
    loss = some.new_full((len(scenes),), torch.inf)
    for stage in preset.stages:
        if not len(active):
            break
        ended = run_stage(stage, terms, batch, moved, start, state, active, audience)
        for index, report in ended.items():
            loss[index] = torch.inf if report.failed else report.loss
        active = torch.tensor(
            [i for i in active.tolist() if not ended[i].failed], dtype=torch.int64, device=some.device
        )
    return Solved({name: value.detach() for name, value in moved.items()}, loss)
