"""What a stage tells: after each iteration to whoever watches, and at its end of every scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.solve.stage import Stage

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
        loss: ``(A,)`` weighted loss of each, where it stands now.
        terms: weighted value ``(A,)`` of each term, likewise.
        state: the live state; do not change it. It holds what was tried, also for scenes that did not take
            it.
        taken: ``(A,)`` bool, which scenes stand now where ``state`` is: with Adam all of them, with
            Levenberg-Marquardt those whose loss fell. False, too, for a scene that broke here.
        attempt: from 1. A batch in which a scene broke is fitted again without it, from the first stage on;
            what an earlier attempt told of the others no longer counts.
        evaluation: from 0, how often this attempt has evaluated the loss before, in all stages.
    """

    stage: str
    iteration: int
    max_iterations: int
    scenes: Tensor
    loss: Tensor
    terms: Mapping[str, Tensor]
    state: FitState
    taken: Tensor
    attempt: int
    evaluation: int


Callback = Callable[[FitProgress], None]


@dataclass
class Audience:
    """Who is told of one attempt at a batch.

    Args:
        callback: called after each evaluation; ``None``: nobody listens.
        numbers: ``(S,)`` how the caller counts the scenes of the batch.
        attempt: from 1.
        evaluation: how often the loss was evaluated so far.
    """

    callback: Callback | None
    numbers: Tensor
    attempt: int = 1
    evaluation: int = 0

    def tell(
        self,
        stage: Stage,
        iteration: int,
        scenes: Tensor,
        loss: Tensor,
        terms: Mapping[str, Tensor],
        state: FitState,
        taken: Tensor,
    ) -> None:
        """Tell of one evaluation; ``scenes (A,)`` are indices into the batch."""
        if self.callback is not None:
            event = FitProgress(
                stage.name,
                iteration,
                stage.max_iterations,
                self.numbers[scenes],
                loss,
                terms,
                state,
                taken,
                self.attempt,
                self.evaluation,
            )
            self.callback(event)
        self.evaluation += 1


MakeState = Callable[[SceneBatch, Params, Params, Params], FitState]
