"""The loop of one stage: Adam on the free parameters of all scenes at once; scenes that are done leave."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.term import Term
from apu_losses.fitting.solve.convergence import SlopeRule
from apu_losses.fitting.solve.group import SceneGroup, evaluate_terms, reference_of, report, weighted_terms
from apu_losses.fitting.solve.levenberg import run_levenberg_marquardt
from apu_losses.fitting.solve.progress import Callback, FitProgress, MakeState, Params, StageReport
from apu_losses.fitting.solve.stage import Stage


def run_stage(
    stage: Stage,
    terms: Mapping[str, Term],
    batch: SceneBatch,
    params: Params,
    start: Params,
    make_state: MakeState,
    active: Tensor,
    scene_numbers: Tensor,
    callback: Callback | None = None,
) -> dict[int, StageReport]:
    """Run one stage; ``params`` is changed in place to where each scene ended.

    Args:
        terms: every term by name; those with a positive weight in the stage are evaluated.
        batch: all scenes, S of them, N people.
        params: ``(N, size)`` by name.
        start: where the fit began, same shapes.
        make_state: builds a `FitState` from a batch, parameters, start and reference.
        active: ``(A,)`` indices of the scenes to work on.
        scene_numbers: ``(S,)`` how the caller counts the scenes of this batch, for callbacks.

    Returns:
        one report for each active scene, by its index in ``batch``.
    """
    group = SceneGroup.of(batch, active, params, start, reference_of(stage, params, start), stage)
    run = run_adam if stage.optimizer == "adam" else run_levenberg_marquardt
    return run(stage, terms, group, params, make_state, scene_numbers, callback)


def run_adam(
    stage: Stage,
    terms: Mapping[str, Term],
    group: SceneGroup,
    params: Params,
    make_state: MakeState,
    scene_numbers: Tensor,
    callback: Callback | None = None,
) -> dict[int, StageReport]:
    """`run_stage` by Adam, for the scenes of a group."""
    weighted = weighted_terms(stage, terms)
    reports: dict[int, StageReport] = {}
    rule = SlopeRule(group.batch.size, stage.window, stage.relative_slope, stage.absolute_slope)
    adam = _Adam(group, stage)
    previous = group.snapshot()
    for iteration in range(stage.max_iterations):
        state = make_state(group.batch, group.params, group.start, group.reference)
        loss, values = evaluate_terms(weighted, state)
        adam.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.sum().backward()
            group.hold_unseen(group.gradients())
        loss, values = loss.detach(), {name: value.detach() for name, value in values.items()}
        if callback is not None:
            numbers = scene_numbers[group.scenes]
            callback(FitProgress(stage.name, iteration, stage.max_iterations, numbers, loss, values, state))
        broken = ~torch.isfinite(loss) | group.broken(group.gradients())
        converged = rule.update(torch.nan_to_num(loss)) & ~broken
        done = broken | converged | (iteration + 1 == stage.max_iterations)
        if bool(done.any()):
            group.write_back(params, done & ~broken, {name: group.params[name] for name in group.free})
            group.write_back(params, broken, previous)
            for index in torch.nonzero(done)[:, 0].tolist():
                reports[int(group.scenes[index])] = report(
                    stage,
                    iteration + 1,
                    index,
                    loss,
                    values,
                    broken=bool(broken[index]),
                    converged=bool(converged[index]),
                )
            if bool(done.all()):
                break
            keep = torch.nonzero(~done)[:, 0]
            rule.keep(keep)
            smaller, rows = group.only(keep)
            adam = adam.moved_to(smaller, rows)
            group = smaller
        previous = group.snapshot()
        adam.step()
    return reports


class _Adam:
    """Adam on the free parameters of a group."""

    def __init__(self, group: SceneGroup, stage: Stage) -> None:
        self.group = group
        self.stage = stage
        self.optimizer = torch.optim.Adam([group.params[name] for name in group.free], lr=stage.learning_rate)

    def step(self) -> None:
        """One step; age stays an interpolation between adult (0) and infant (1)."""
        self.optimizer.step()
        if "age" in self.stage.free:
            with torch.no_grad():
                self.group.params["age"].clamp_(0, 1)

    def moved_to(self, smaller: SceneGroup, rows: Tensor) -> _Adam:
        """The same optimiser for a group that keeps only ``rows``; gradients and moments go with them."""
        moved = _Adam(smaller, self.stage)
        for name in smaller.free:
            old, new = self.group.params[name], smaller.params[name]
            moments = self.optimizer.state.get(old)
            if moments:
                moved.optimizer.state[new] = {
                    key: value[rows].clone() if value.ndim else value.clone()
                    for key, value in moments.items()
                }
            if old.grad is not None:
                new.grad = old.grad[rows].clone()
        return moved
