"""What the loop of a stage asks of an optimiser: where to look next, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.solve.group import SceneGroup
from apu_losses.fitting.solve.progress import Params, StageReport
from apu_losses.fitting.solve.stage import Stage


@dataclass(frozen=True)
class Step:
    """What one evaluation means for each of A scenes.

    Attributes:
        loss: ``(A,)`` weighted loss where the scene stands now; of one that broke, where it broke.
        terms: weighted value ``(A,)`` of each term, likewise.
        taken: ``(A,)`` bool, which stand now where the loss was evaluated.
        broken: ``(A,)`` bool, which cannot go on: a loss or a gradient is not finite.
        converged: ``(A,)`` bool, which are done.
    """

    loss: Tensor
    terms: Mapping[str, Tensor]
    taken: Tensor
    broken: Tensor
    converged: Tensor

    def report(self, stage: Stage, evaluations: int, index: int) -> StageReport:
        """How the stage ended for scene ``index``."""
        terms = {name: float(value[index]) for name, value in self.terms.items()}
        reason = "converged" if bool(self.converged[index]) else "iteration limit"
        if bool(self.broken[index]):
            reason = f"failed: {_blame(terms)} in stage {stage.name!r}, iteration {evaluations - 1}"
        return StageReport(stage.name, evaluations, reason, float(self.loss[index]), terms)


def _blame(terms: Mapping[str, float]) -> str:
    for name, value in terms.items():
        if not math.isfinite(value):
            return f"the term {name!r} is {value}"
    return "a gradient is not finite"


class Stepper(Protocol):
    """An optimiser of a group of scenes.

    Attributes:
        group: the scenes; its parameters are where each scene stands.
    """

    group: SceneGroup

    def trial(self) -> Params:
        """Return the parameters at which to evaluate the loss next; first, those where the group stands."""
        ...

    def take(self, state: FitState, loss: Tensor, terms: Mapping[str, Tensor]) -> Step:
        """Move the scenes that take the trial, given the state, loss ``(A,)`` and terms there.

        A scene that broke stays where it was last in order.
        """
        ...

    def only(self, kept: Tensor) -> Stepper:
        """Return the same optimiser for the scenes ``kept``, indices into the group's, rising."""
        ...
