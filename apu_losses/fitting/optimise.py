"""The loop of one stage: Adam on the free parameters of all scenes at once; scenes that are done leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.fitting.batch import SceneBatch
from apu_losses.fitting.convergence import SlopeRule
from apu_losses.fitting.stage import Stage
from apu_losses.fitting.state import FitState
from apu_losses.fitting.term import Term

Params = dict[str, Tensor]


@dataclass(frozen=True)
class StageReport:
    """How one stage ended for one scene.

    Attributes:
        name: of the stage.
        iterations: how often the loss was evaluated.
        reason: ``"converged"``, ``"iteration limit"``, or ``"failed: ..."`` with what went wrong.
        loss: weighted sum of all terms at the end.
        terms: weighted value of each term at the end.
    """

    name: str
    iterations: int
    reason: str
    loss: float
    terms: Mapping[str, float]

    @property
    def failed(self) -> bool:
        return self.reason.startswith("failed")


@dataclass(frozen=True)
class FitProgress:
    """What a callback sees after each iteration.

    Attributes:
        stage: name of the stage.
        iteration: from 0.
        max_iterations: of the stage.
        scenes: ``(A,)`` numbers of the scenes still being fitted, in the list given to ``fit``.
        loss: ``(A,)`` weighted loss of each.
        terms: weighted value ``(A,)`` of each term.
        state: the live state; do not change it.
    """

    stage: str
    iteration: int
    max_iterations: int
    scenes: Tensor
    loss: Tensor
    terms: Mapping[str, Tensor]
    state: FitState


Callback = Callable[[FitProgress], None]
MakeState = Callable[[SceneBatch, Params, Params, Params], FitState]


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
    weighted = [(name, terms[name], weight) for name, weight in stage.weights.items() if weight > 0]
    reference = (
        start if stage.reference == "start" else {name: value.clone() for name, value in params.items()}
    )
    reports: dict[int, StageReport] = {}
    group = _Group(batch, active, params, start, reference, stage)
    rule = SlopeRule(len(active), stage.window, stage.relative_slope, stage.absolute_slope)
    previous = group.snapshot()
    for iteration in range(stage.max_iterations):
        state = make_state(group.batch, group.params, group.start, group.reference)
        unweighted = {name: term(state) for name, term, _ in weighted}
        _check_shapes(unweighted, state.batch.size)
        values = {name: weight * unweighted[name] for name, _, weight in weighted}
        loss = sum(values.values(), state.batch.keypoints.new_zeros(state.batch.size))
        group.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.sum().backward()
            group.hold_unseen()
        loss, values = loss.detach(), {name: value.detach() for name, value in values.items()}
        if callback is not None:
            numbers = scene_numbers[group.scenes]
            callback(FitProgress(stage.name, iteration, stage.max_iterations, numbers, loss, values, state))
        broken = ~torch.isfinite(loss) | group.broken_gradient()
        converged = rule.update(torch.nan_to_num(loss)) & ~broken
        last = iteration + 1 == stage.max_iterations
        done = broken | converged | last
        if bool(done.any()):
            group.write_back(params, done & ~broken, group.free_values())
            group.write_back(params, broken, previous)
            for index in torch.nonzero(done)[:, 0].tolist():
                reason = "converged" if converged[index] else "iteration limit"
                if broken[index]:
                    reason = f"failed: {_blame(values, index)} in stage {stage.name!r}, iteration {iteration}"
                reports[int(group.scenes[index])] = StageReport(
                    stage.name,
                    iteration + 1,
                    reason,
                    float(loss[index]),
                    {name: float(value[index]) for name, value in values.items()},
                )
            if bool(done.all()):
                break
            keep = torch.nonzero(~done)[:, 0]
            rule.keep(keep)
            group = group.keep(keep, batch)
        previous = group.snapshot()
        group.step()
    return reports


class _Group:
    """The scenes that are still being fitted: their own small batch, parameters and Adam moments."""

    def __init__(
        self,
        batch: SceneBatch,
        scenes: Tensor,
        params: Params,
        start: Params,
        reference: Params,
        stage: Stage,
    ) -> None:
        self.scenes = scenes
        self.stage = stage
        rows = batch.rows_of(scenes)
        self.rows = rows
        self.batch = batch if len(scenes) == batch.size else batch.subset(scenes)
        seen = [name for name in stage.free_where_seen if bool(self.batch.sees(name).any())]
        self.free = (*stage.free, *seen)
        self.start = {name: value[rows] for name, value in start.items()}
        self.reference = {name: value[rows] for name, value in reference.items()}
        self.params = {
            name: value[rows].detach().clone().requires_grad_(name in self.free)
            for name, value in params.items()
        }
        self.optimizer = torch.optim.Adam(self._free(), lr=stage.learning_rate)

    def _free(self) -> list[Tensor]:
        return [self.params[name] for name in self.free]

    def step(self) -> None:
        """One step of Adam; age stays an interpolation between adult (0) and infant (1)."""
        self.optimizer.step()
        if "age" in self.stage.free:
            with torch.no_grad():
                self.params["age"].clamp_(0, 1)

    def hold_unseen(self) -> None:
        """Hands that nobody saw have no gradient: they stay where they are."""
        for name in self.free[len(self.stage.free) :]:
            gradient = self.params[name].grad
            if gradient is not None:
                gradient[~self.batch.sees(name)] = 0

    def free_values(self) -> Params:
        return {name: self.params[name].detach() for name in self.free}

    def snapshot(self) -> Params:
        return {name: self.params[name].detach().clone() for name in self.free}

    def broken_gradient(self) -> Tensor:
        """``(A,)`` scenes where a gradient is not finite."""
        bad_row = torch.zeros(self.batch.rows, dtype=torch.bool, device=self.rows.device)
        for value in self._free():
            if value.grad is not None:
                bad_row |= ~torch.isfinite(value.grad).all(1)
        bad = torch.zeros(self.batch.size, dtype=torch.bool, device=self.rows.device)
        bad[self.batch.row_scene[bad_row]] = True
        return bad

    def write_back(self, params: Params, which: Tensor, values: Params) -> None:
        """Copy the rows of the scenes ``which (A,)`` from ``values`` into the parameters of all scenes."""
        chosen = which[self.batch.row_scene]
        for name, value in values.items():
            params[name][self.rows[chosen]] = value[chosen]

    def keep(self, kept: Tensor, whole: SceneBatch) -> _Group:
        """The group without the scenes that are done; the moments of Adam go with the rest."""
        old_rows = self.batch.rows_of(kept)
        spread = {
            name: _scatter_rows(value.detach(), self.rows, whole.rows) for name, value in self.params.items()
        }
        start = {name: _scatter_rows(value, self.rows, whole.rows) for name, value in self.start.items()}
        reference = {
            name: _scatter_rows(value, self.rows, whole.rows) for name, value in self.reference.items()
        }
        group = _Group(whole, self.scenes[kept], spread, start, reference, self.stage)
        for name in group.free:  # a hand that only the scenes that left showed is not free any more
            old, new = self.params[name], group.params[name]
            moments = self.optimizer.state.get(old)
            if moments:
                group.optimizer.state[new] = {
                    key: value[old_rows].clone() if value.ndim else value.clone()
                    for key, value in moments.items()
                }
            if old.grad is not None:
                new.grad = old.grad[old_rows].clone()
        return group


def _scatter_rows(values: Tensor, rows: Tensor, count: int) -> Tensor:
    spread = values.new_zeros(count, *values.shape[1:])
    spread[rows] = values
    return spread


def _check_shapes(values: Mapping[str, Tensor], scenes: int) -> None:
    for name, value in values.items():
        shape = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        if shape != (scenes,):
            raise ValueError(
                f"term {name!r} must return one value a scene, a tensor of shape ({scenes},), got {shape}; "
                "sum over people with state.per_scene(values)"
            )


def _blame(values: Mapping[str, Tensor], index: int) -> str:
    for name, value in values.items():
        number = float(value[index])
        if not math.isfinite(number):
            return f"the term {name!r} is {number}"
    return "a gradient is not finite"
