"""The loop of one stage: all scenes at once, each until it is done; a stepper says where to look next."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.term import Term
from apu_losses.fitting.solve.adam import Adam
from apu_losses.fitting.solve.group import SceneGroup, evaluate_terms, reference_of, weighted_terms
from apu_losses.fitting.solve.levenberg import LevenbergMarquardt
from apu_losses.fitting.solve.progress import Audience, MakeState, Params, StageReport
from apu_losses.fitting.solve.stage import Stage
from apu_losses.fitting.solve.stepper import Stepper


def run_stage(
    stage: Stage,
    terms: Mapping[str, Term],
    batch: SceneBatch,
    params: Params,
    start: Params,
    make_state: MakeState,
    active: Tensor,
    audience: Audience,
) -> dict[int, StageReport]:
    """Run one stage; ``params`` is changed in place to where each scene ended.

    Args:
        stage: what moves, what pulls, and when it ends.
        terms: every term by name; those with a positive weight in the stage are evaluated.
        batch: all scenes, S of them, N people.
        params: ``(N, size)`` by name.
        start: where the fit began, same shapes.
        make_state: builds a `FitState` from a batch, parameters, start and reference.
        active: ``(A,)`` indices of the scenes to work on.
        audience: is told of each evaluation.

    Returns:
        one report for each active scene, by its index in ``batch``.
    """
    weighted = weighted_terms(stage, terms)
    reports: dict[int, StageReport] = {}
    group = SceneGroup.of(batch, active, params, start, reference_of(stage, params, start), stage)
    stepper: Stepper = Adam(group, stage)
    if stage.optimizer == "levenberg_marquardt":
        stepper = LevenbergMarquardt(group, stage, weighted)
    for iteration in range(stage.max_iterations):
        group = stepper.group
        state = make_state(group.batch, stepper.trial(), group.start, group.reference)
        loss, values = evaluate_terms(weighted, state)
        step = stepper.take(state, loss, values)
        audience.tell(stage, iteration, group.scenes, step.loss, step.terms, state, step.taken)
        done = step.broken | step.converged | (iteration + 1 == stage.max_iterations)
        if bool(done.any()):
            group.write_back(params, done)
            ended = torch.nonzero(done)[:, 0].tolist()
            reports |= {int(group.scenes[i]): step.report(stage, iteration + 1, i) for i in ended}
            if bool(done.all()):
                break
            stepper = stepper.only(torch.nonzero(~done)[:, 0])
    return reports
