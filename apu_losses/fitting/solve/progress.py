"""What a stage tells: after each iteration to whoever watches, and at its end of every scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.state import FitState

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
        """Whether the stage ended by a failure; ``reason`` says which."""
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
        state: the live state; do not change it. In a Levenberg-Marquardt stage it holds the step that was
            tried, also for scenes that did not take it; ``loss`` and ``terms`` are of what they kept.
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
