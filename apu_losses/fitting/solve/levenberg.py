"""Levenberg-Marquardt for many scenes: each has its own damping and takes only steps that help.

The gradient is that of the loss itself, of every term. The curvature is Gauss-Newton's, of the terms that are
sums of squares (`apu_losses.fitting.objective.residuals`), with the vertices that searches found and the
robust weights held for the step. A step is taken only where the loss itself falls, whatever moved in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from apu_losses.fitting.objective.residuals import Curvature, curvature
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.solve.group import SceneGroup, WeightedTerm, within_range
from apu_losses.fitting.solve.progress import Params
from apu_losses.fitting.solve.stage import Stage
from apu_losses.fitting.solve.stepper import Step

_EASIER, _HARDER = 0.2, 4.0
"""Factors on the damping after a step that helped, and after one that did not."""
_STUCK = 1e6
"""Damping at which no step is worth trying."""


class LevenbergMarquardt:
    """A `Stepper` of A scenes with M people, who have D free numbers each.

    A scene has converged when a step lowers its loss by less than ``stage.relative_slope`` of it (or by less
    than ``stage.absolute_slope``), or when no step helps, however short.

    References:
        Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963.
    """

    def __init__(self, group: SceneGroup, stage: Stage, weighted: Sequence[WeightedTerm]) -> None:
        self.group = group
        self._stage = stage
        self._weighted = weighted
        moves = {name: torch.ones_like(group.params[name].detach()) for name in group.free}
        group.hold_unseen(moves)
        self._moves = torch.cat(list(moves.values()), 1)  # (M, D) 0 for hands that nobody saw
        self._loss = group.batch.keypoints.new_full((group.batch.size,), torch.inf)
        self._terms: dict[str, Tensor] = {}
        self._gradient = torch.zeros_like(self._moves)
        self._damping = torch.full_like(self._loss, stage.damping, dtype=torch.float64)
        self._curve: Curvature | None = None  # None before the first evaluation
        self._trial: Params = {}

    def trial(self) -> Params:
        """Return the parameters after a damped step; at first, without one."""
        step = torch.zeros_like(self._gradient)
        if self._curve is not None:
            step = self._curve.step(self._gradient, self._damping, self.group.batch.row_scene)
        trial = dict(self.group.params)
        sizes = [trial[name].shape[1] for name in self.group.free]
        for name, part in zip(self.group.free, step.split(sizes, 1), strict=True):
            trial[name] = within_range(name, trial[name].detach() + part).requires_grad_()
        self._trial = trial
        return trial

    def take(self, state: FitState, loss: Tensor, terms: Mapping[str, Tensor]) -> Step:
        """Move the scenes whose loss has fallen, find their gradient and curvature, and set the damping."""
        first, before = self._curve is None, self._loss
        better = torch.isfinite(loss.detach()) & (loss.detach() < self._loss)
        gradient = self._gradient_of(loss[better])
        better &= ~self.group.broken(gradient)
        self.group.move(better, self._trial)
        rows = better[self.group.batch.row_scene][:, None]
        self._gradient = torch.where(rows, torch.cat(list(gradient.values()), 1), self._gradient)
        broken = ~better & first
        shown = better | broken
        loss = loss.detach()
        self._loss = torch.where(shown, loss, self._loss)
        self._terms = {
            name: torch.where(shown, value.detach(), self._terms.get(name, value.detach()))
            for name, value in terms.items()
        }
        if bool(better.any()):
            found = curvature(self._weighted, state, self.group.free, self._moves)
            self._curve = found if self._curve is None else self._curve.replaced(better, found)
        self._damping = torch.where(better, self._damping * _EASIER, self._damping * _HARDER)
        converged = better & self._small(before - self._loss) & (not first)
        converged |= ~better & (self._damping > _STUCK)
        return Step(self._loss, self._terms, better, broken, converged & ~broken)

    def _gradient_of(self, loss: Tensor) -> Params:
        """``(M, size)`` by name, where the trial is."""
        if loss.requires_grad and len(loss):
            loss.sum().backward()
        leaves = {name: self._trial[name] for name in self.group.free}
        gradient = {
            name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()
        }
        self.group.hold_unseen(gradient)
        return gradient

    def _small(self, gain: Tensor) -> Tensor:
        """Return ``(A,)`` scenes whose loss fell by so little that the stage is over for them."""
        small = torch.zeros_like(gain, dtype=torch.bool)
        if self._stage.relative_slope is not None:
            small |= gain < self._stage.relative_slope * self._loss.abs()
        if self._stage.absolute_slope is not None:
            small |= gain < self._stage.absolute_slope
        return small

    def only(self, kept: Tensor) -> LevenbergMarquardt:
        """Return the same for fewer scenes, where they are."""
        smaller, rows = self.group.only(kept)
        fewer = LevenbergMarquardt(smaller, self._stage, self._weighted)
        fewer._loss = self._loss[kept]
        fewer._terms = {name: value[kept] for name, value in self._terms.items()}
        fewer._gradient = self._gradient[rows]
        fewer._damping = self._damping[kept]
        if self._curve is not None:
            fewer._curve = self._curve.only(kept)
        return fewer
