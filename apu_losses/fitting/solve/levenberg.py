"""The loop of one stage by Levenberg-Marquardt: scenes have their own damping and take only steps that help.

The gradient is that of the loss itself, of every term. The curvature is Gauss-Newton's, of the terms that are
sums of squares (`apu_losses.fitting.objective.residuals`), with the vertices that searches found and the
robust weights held for the step. A step is taken only where the loss itself falls, whatever moved in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.fitting.objective.residuals import Curvature, curvature
from apu_losses.fitting.objective.term import Term
from apu_losses.fitting.solve.group import SceneGroup, evaluate_terms, report, weighted_terms
from apu_losses.fitting.solve.progress import Callback, FitProgress, MakeState, Params, StageReport
from apu_losses.fitting.solve.stage import Stage

_EASIER, _HARDER = 0.2, 4.0
"""Factors on the damping after a step that helped, and after one that did not."""
_STUCK = 1e6
"""Damping at which no step is worth trying."""


def run_levenberg_marquardt(
    stage: Stage,
    terms: Mapping[str, Term],
    group: SceneGroup,
    params: Params,
    make_state: MakeState,
    scene_numbers: Tensor,
    callback: Callback | None = None,
) -> dict[int, StageReport]:
    """`apu_losses.fitting.solve.adam.run_stage` by Levenberg-Marquardt, for the scenes of a group.

    A scene has converged when a step lowers its loss by less than ``stage.relative_slope`` of it (or by less
    than ``stage.absolute_slope``), or when no step helps, however short.

    References:
        Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963.
    """
    weighted = weighted_terms(stage, terms)
    reports: dict[int, StageReport] = {}
    fit = _Fit.begin(group)
    damping = torch.full_like(fit.loss, stage.damping, dtype=torch.float64)
    for iteration in range(stage.max_iterations):
        first = iteration == 0
        trial = fit.trial(torch.zeros_like(fit.gradient) if first else fit.step(damping))
        state = make_state(fit.group.batch, trial, fit.group.start, fit.group.reference)
        loss, values = evaluate_terms(weighted, state)
        detached = {name: value.detach() for name, value in values.items()}
        before = fit.loss
        better = fit.take(trial, loss, values)
        if bool(better.any()):
            fit.bend(curvature(weighted, state, fit.group.free, fit.moves), better)
        damping = torch.where(better, damping * _EASIER, damping * _HARDER)
        if callback is not None:
            numbers = scene_numbers[fit.group.scenes]
            callback(
                FitProgress(stage.name, iteration, stage.max_iterations, numbers, fit.loss, fit.values, state)
            )
        broken = ~better & first
        converged = better & _small(before - fit.loss, fit.loss, stage) & (not first)
        converged |= ~better & (damping > _STUCK)
        done = broken | converged | (iteration + 1 == stage.max_iterations)
        if bool(done.any()):
            fit.group.write_back(params, done & ~broken, fit.group.snapshot())
            for index in torch.nonzero(done)[:, 0].tolist():
                bad = bool(broken[index])
                last = (loss.detach(), detached) if bad else (fit.loss, fit.values)
                reports[int(fit.group.scenes[index])] = report(
                    stage, iteration + 1, index, *last, broken=bad, converged=bool(converged[index])
                )
            if bool(done.all()):
                break
            keep = torch.nonzero(~done)[:, 0]
            damping = damping[keep]
            fit = fit.only(keep)
    return reports


def _small(gain: Tensor, loss: Tensor, stage: Stage) -> Tensor:
    """``(A,)`` scenes whose loss fell by so little that the stage is over for them."""
    small = torch.zeros_like(loss, dtype=torch.bool)
    if stage.relative_slope is not None:
        small |= gain < stage.relative_slope * loss.abs()
    if stage.absolute_slope is not None:
        small |= gain < stage.absolute_slope
    return small


@dataclass
class _Fit:
    """Where the scenes of a group are: A scenes, M people, D free numbers a person.

    Attributes:
        group: the scenes, with the parameters that they have taken.
        moves: ``(M, D)`` 1 where a number is free, 0 for hands that nobody saw.
        loss: ``(A,)``; infinite before the first evaluation.
        values: weighted value ``(A,)`` of each term.
        gradient: ``(M, D)``
        curve: second derivatives; None before the first evaluation.
    """

    group: SceneGroup
    moves: Tensor
    loss: Tensor
    values: dict[str, Tensor]
    gradient: Tensor
    curve: Curvature | None = None

    @classmethod
    def begin(cls, group: SceneGroup) -> _Fit:
        free = [group.params[name].detach() for name in group.free]
        moves = {name: torch.ones_like(value) for name, value in zip(group.free, free, strict=True)}
        group.hold_unseen(moves)
        return cls(
            group,
            torch.cat(list(moves.values()), 1),
            group.batch.keypoints.new_full((group.batch.size,), torch.inf),
            {},
            torch.zeros_like(torch.cat(free, 1)),
        )

    def step(self, damping: Tensor) -> Tensor:
        """``(M, D)`` the next step of every scene."""
        if self.curve is None:
            raise RuntimeError("no point was taken yet")
        return self.curve.step(self.gradient, damping, self.group.batch.row_scene)

    def trial(self, step: Tensor) -> Params:
        """The parameters after a step; age stays an interpolation between adult (0) and infant (1)."""
        trial = dict(self.group.params)
        sizes = [trial[name].shape[1] for name in self.group.free]
        for name, part in zip(self.group.free, step.split(sizes, 1), strict=True):
            moved = trial[name].detach() + part
            trial[name] = (moved.clamp(0, 1) if name == "age" else moved).requires_grad_()
        return trial

    def take(self, trial: Params, loss: Tensor, values: dict[str, Tensor]) -> Tensor:
        """Move the scenes whose loss has fallen, and find their gradient; ``(A,)`` which they are."""
        better = torch.isfinite(loss.detach()) & (loss.detach() < self.loss)
        if loss.requires_grad and bool(better.any()):
            loss[better].sum().backward()
        leaves = {name: trial[name] for name in self.group.free}
        gradient = {
            name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()
        }
        self.group.hold_unseen(gradient)
        better &= ~self.group.broken(gradient)
        rows = better[self.group.batch.row_scene][:, None]
        with torch.no_grad():
            for name, leaf in leaves.items():
                own = self.group.params[name]
                own.copy_(torch.where(rows, leaf, own))
        self.gradient = torch.where(rows, torch.cat(list(gradient.values()), 1), self.gradient)
        self.loss = torch.where(better, loss.detach(), self.loss)
        known = self.values or {name: torch.full_like(self.loss, torch.nan) for name in values}
        self.values = {
            name: torch.where(better, value.detach(), known[name]) for name, value in values.items()
        }
        return better

    def bend(self, found: Curvature, better: Tensor) -> None:
        """Take the curvature of the scenes that moved."""
        self.curve = found if self.curve is None else self.curve.replaced(better, found)

    def only(self, kept: Tensor) -> _Fit:
        """The scenes ``kept``, indices into these, rising."""
        smaller, rows = self.group.only(kept)
        fit = _Fit.begin(smaller)
        fit.loss = self.loss[kept]
        fit.values = {name: value[kept] for name, value in self.values.items()}
        fit.gradient = self.gradient[rows]
        if self.curve is not None:
            fit.curve = self.curve.only(kept)
        return fit
