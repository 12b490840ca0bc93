"""Adam on the free parameters of all scenes at once: every step is taken."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.solve.convergence import SlopeRule
from apu_losses.fitting.solve.group import SceneGroup, within_range
from apu_losses.fitting.solve.progress import Params
from apu_losses.fitting.solve.stage import Stage
from apu_losses.fitting.solve.stepper import Step


class Adam:
    """A `Stepper`; a scene has converged when the slope of its loss says so (`SlopeRule`)."""

    def __init__(self, group: SceneGroup, stage: Stage) -> None:
        self.group = group
        self._stage = stage
        self._rule = SlopeRule(group.batch.size, stage.window, stage.relative_slope, stage.absolute_slope)
        self._optimizer = torch.optim.Adam(
            [group.params[name] for name in group.free], lr=stage.learning_rate
        )
        self._before: Params | None = None  # where the step before began; None before the first

    def trial(self) -> Params:
        """Step along the gradient of the last evaluation, if there was one."""
        first = self._before is None
        self._before = self.group.snapshot()
        if not first:
            self._optimizer.step()
            with torch.no_grad():
                for name in self.group.free:
                    self.group.params[name].copy_(within_range(name, self.group.params[name]))
        return self.group.params

    def take(self, state: FitState, loss: Tensor, terms: Mapping[str, Tensor]) -> Step:
        """Find the gradient for the next step; a scene that broke goes back to before this one."""
        self._optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.sum().backward()
            self.group.hold_unseen(self.group.gradients())
        loss = loss.detach()
        broken = ~torch.isfinite(loss) | self.group.broken(self.group.gradients())
        if self._before is not None and bool(broken.any()):
            self.group.move(broken, self._before)
        converged = self._rule.update(torch.nan_to_num(loss)) & ~broken
        detached = {name: value.detach() for name, value in terms.items()}
        return Step(loss, detached, ~broken, broken, converged)

    def only(self, kept: Tensor) -> Adam:
        """Return the same for fewer scenes; gradients, moments and the losses so far go with them."""
        smaller, rows = self.group.only(kept)
        moved = Adam(smaller, self._stage)
        moved._before = self._before
        moved._rule = self._rule
        self._rule.keep(kept)
        for name in smaller.free:
            old, new = self.group.params[name], smaller.params[name]
            moments = self._optimizer.state.get(old)
            if moments:
                moved._optimizer.state[new] = {
                    key: value[rows].clone() if value.ndim else value.clone()
                    for key, value in moments.items()
                }
            if old.grad is not None:
                new.grad = old.grad[rows].clone()
        return moved
