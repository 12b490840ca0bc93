"""A term of the objective: anything that gives each scene a number to be made small."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from apu_losses.fitting.objective.state import FitState


@runtime_checkable
class Term(Protocol):
    """``term(state) -> (S,)``, one value a scene, unweighted and differentiable.

    A plain function is a term. A value must depend on its own scene only; a scene that the term has nothing
    to say about gets 0.
    """

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        ...
