"""The scenes that a stage still works on: their own small batch and the parameters that optimisers move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.term import Term
from apu_losses.fitting.solve.progress import Params
from apu_losses.fitting.solve.stage import Stage

WeightedTerm = tuple[str, Term, float]


@dataclass(frozen=True)
class SceneGroup:
    """A scenes with M people, taken out of a larger batch.

    Attributes:
        whole: the batch that they come from.
        scenes: ``(A,)`` their indices there.
        rows: ``(M,)`` the rows of their people there.
        batch: the batch of these scenes alone.
        params, start, reference: ``(M, size)`` by name; the free ones of ``params`` want a gradient.
        free: names of the parameters that move; hands that somebody's keypoints show come last.
        always_free: those that move for everybody.
    """

    whole: SceneBatch
    scenes: Tensor
    rows: Tensor
    batch: SceneBatch
    params: Params
    start: Params
    reference: Params
    free: tuple[str, ...]
    always_free: tuple[str, ...]

    @classmethod
    def of(
        cls, whole: SceneBatch, scenes: Tensor, params: Params, start: Params, reference: Params, stage: Stage
    ) -> SceneGroup:
        """Return the scenes ``(A,)`` of a batch, with the rows of these parameters of the whole batch."""
        rows = whole.rows_of(scenes)
        batch = whole if len(scenes) == whole.size else whole.subset(scenes)
        free = (*stage.free, *(name for name in stage.free_where_seen if bool(batch.sees(name).any())))
        return cls(
            whole,
            scenes,
            rows,
            batch,
            _leaves(params, rows, free),
            _rows(start, rows),
            _rows(reference, rows),
            free,
            stage.free,
        )

    def only(self, kept: Tensor) -> tuple[SceneGroup, Tensor]:
        """Return the group of the scenes ``kept`` (indices into this group, rising), and the rows ``(K,)``
        that it keeps.
        """
        rows = self.batch.rows_of(kept)
        scenes = self.scenes[kept]
        smaller = replace(
            self,
            scenes=scenes,
            rows=self.rows[rows],
            batch=self.whole.subset(scenes),
            params=_leaves(self.params, rows, self.free),
            start=_rows(self.start, rows),
            reference=_rows(self.reference, rows),
        )
        return smaller, rows

    def hold_unseen(self, gradient: Params) -> None:
        """Hands that nobody saw have no gradient: they stay where they are."""
        for name in self.free[len(self.always_free) :]:
            if name in gradient:
                gradient[name][~self.batch.sees(name)] = 0

    def gradients(self) -> Params:
        """Return the gradients of the free parameters that have one."""
        found = {name: self.params[name].grad for name in self.free}
        return {name: value for name, value in found.items() if value is not None}

    def snapshot(self) -> Params:
        """Return a copy of what moves."""
        return {name: self.params[name].detach().clone() for name in self.free}

    def broken(self, values: Params) -> Tensor:
        """Return ``(A,)`` scenes where one of these numbers, ``(M, size)``, is not finite."""
        bad_row = torch.zeros(self.batch.rows, dtype=torch.bool, device=self.rows.device)
        for value in values.values():
            bad_row |= ~torch.isfinite(value).all(1)
        bad = torch.zeros(self.batch.size, dtype=torch.bool, device=self.rows.device)
        bad[self.batch.row_scene[bad_row]] = True
        return bad

    def move(self, which: Tensor, values: Params) -> None:
        """Put the scenes ``which (A,)`` bool where ``values (M, size)`` of the free parameters are."""
        rows = which[self.batch.row_scene][:, None]
        with torch.no_grad():
            for name in self.free:
                own = self.params[name]
                own.copy_(torch.where(rows, values[name], own))

    def write_back(self, params: Params, which: Tensor) -> None:
        """Copy what moves of the scenes ``which (A,)`` bool into the parameters of all scenes."""
        chosen = which[self.batch.row_scene]
        for name, value in self.snapshot().items():
            params[name][self.rows[chosen]] = value[chosen]


def within_range(name: str, value: Tensor) -> Tensor:
    """Return the value that a parameter may have: age stays an interpolation between adult (0) and infant
    (1).
    """
    return value.clamp(0, 1) if name == "age" else value


def _rows(params: Params, rows: Tensor) -> Params:
    return {name: value[rows] for name, value in params.items()}


def _leaves(params: Params, rows: Tensor, free: tuple[str, ...]) -> Params:
    return {name: value.detach()[rows].clone().requires_grad_(name in free) for name, value in params.items()}


def reference_of(stage: Stage, params: Params, start: Params) -> Params:
    """Return what the terms that hold on to a pose hold on to in this stage."""
    return start if stage.reference == "start" else {name: value.clone() for name, value in params.items()}


def weighted_terms(stage: Stage, terms: Mapping[str, Term]) -> list[WeightedTerm]:
    """Return the terms that the stage evaluates, with the stage's options.

    Raises:
        ValueError: an option that the term does not have.
    """
    return [
        (name, _with_options(name, terms[name], stage), weight)
        for name, weight in stage.weights.items()
        if weight > 0
    ]


def _with_options(name: str, term: Term, stage: Stage) -> Term:
    """Return the term as this stage has it."""
    options = dict(stage.options.get(name, {}))
    if getattr(term, "over", None) == "pairs":
        options.pop("soft", None)  # where every pair counts there is nothing to choose among
    if not options:
        return term
    try:
        return cast(Term, replace(cast(Any, term), **options))
    except TypeError:
        raise ValueError(
            f"stage {stage.name!r}: the term {name!r} does not have all of the options {sorted(options)}"
        ) from None


def evaluate_terms(weighted: Iterable[WeightedTerm], state: FitState) -> tuple[Tensor, dict[str, Tensor]]:
    """Return ``(A,)`` the loss of each scene, and the weighted value of each term."""
    size = state.batch.size
    values = {}
    for name, term, weight in weighted:
        value = term(state)
        shape = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        if shape != (size,):
            raise ValueError(
                f"term {name!r} must return one value a scene, a tensor of shape ({size},), got {shape}; "
                "sum over people with state.per_scene(values)"
            )
        values[name] = weight * value
    return sum(values.values(), state.batch.keypoints.new_zeros(size)), values
