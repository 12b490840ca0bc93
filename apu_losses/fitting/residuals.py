"""Terms as sums of squares, for second-order steps: residuals and how they move with the parameters.

A term may have a method ``residuals(state, movement) -> Residuals`` (it is a weighted sum of squares, or is
treated as one with the weights of the moment: iteratively reweighted least squares), or an attribute
``separable = True`` (a sum of functions of single numbers of the parameters, whose curvature is a diagonal).
A term with neither takes part with its gradient alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from apu_losses.bodies.derivatives import BodyDerivatives, body_derivatives
from apu_losses.fitting.state import FitState
from apu_losses.fitting.term import Term


class Movement:
    """How the bodies of a state move with the D numbers of each person that are free.

    Args:
        state: the bodies.
        names: the free parameters, in the order of the columns.
    """

    def __init__(self, state: FitState, names: Sequence[str]) -> None:
        self._state = state
        self.columns: dict[str, slice] = {}
        first = 0
        for name in names:
            size = state.params[name].shape[1]
            self.columns[name] = slice(first, first + size)
            first += size
        self.size = first

    @cached_property
    def _body(self) -> BodyDerivatives:
        return body_derivatives(self._state.body, self._state.params, tuple(self.columns))

    def keypoints(self, skeleton: str) -> Tensor:
        """``(N, K, 3, D)`` of the keypoints of every person."""
        return self._body.keypoints(skeleton)

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """``(K, 3, D)`` of vertex ``vertex_ids[k]`` of person ``rows[k]``."""
        return self._body.select(rows, vertex_ids)

    def of_parameter(self, name: str, jacobian: Tensor) -> Tensor:
        """``(N, m, D)`` from ``(N, m, size)``, the derivative by one parameter; zero if it is not free."""
        found = jacobian.new_zeros(*jacobian.shape[:-1], self.size)
        if name in self.columns:
            found[..., self.columns[name]] = jacobian
        return found


@dataclass(frozen=True)
class Residuals:
    """K residuals of m numbers each; the term is the sum over k of ``weight_k |value_k|^2``.

    Args:
        value: ``(K, m)``.
        weight: ``(K,)`` not negative; constants of the step.
        parts: ``(rows (K,), jacobian (K, m, D))`` for each person that a residual depends on: one, or two of
            the same scene.
    """

    value: Tensor
    weight: Tensor
    parts: Sequence[tuple[Tensor, Tensor]]


def no_residuals(state: FitState, movement: Movement) -> Residuals:
    """Of a term that has nothing to say about any scene."""
    none = state.batch.keypoints.new_zeros(0)
    rows = torch.zeros(0, dtype=torch.int64, device=none.device)
    return Residuals(none.reshape(0, 3), none, [(rows, none.reshape(0, 3).new_zeros(0, 3, movement.size))])


@runtime_checkable
class SquaresTerm(Protocol):
    """A term that can say what it squares."""

    def residuals(self, state: FitState, movement: Movement) -> Residuals: ...


@dataclass(frozen=True)
class Curvature:
    """Gauss-Newton's approximation of the second derivatives of each scene's loss.

    Scenes of P people have matrices of ``P D`` rows: person after person, each with the D free numbers.

    Attributes:
        blocks: by number of people P: ``(scenes (G,), matrices (G, P D, P D))``.
        row_scene: ``(N,)`` the scene of each person, rising.
    """

    blocks: dict[int, tuple[Tensor, Tensor]]
    row_scene: Tensor

    def replaced(self, which: Tensor, other: Curvature) -> Curvature:
        """``other``'s matrices for the scenes ``which (S,)`` bool, these for the rest."""
        mixed = {
            people: (scenes, torch.where(which[scenes, None, None], other.blocks[people][1], matrices))
            for people, (scenes, matrices) in self.blocks.items()
        }
        return Curvature(mixed, self.row_scene)

    def only(self, kept: Tensor, row_scene: Tensor) -> Curvature:
        """Of the scenes ``kept (A,)`` alone, rising, whose people are those of ``row_scene``."""
        blocks = {}
        for people, (scenes, matrices) in self.blocks.items():
            stays = torch.isin(scenes, kept)
            if bool(stays.any()):
                blocks[people] = (torch.searchsorted(kept, scenes[stays]), matrices[stays])
        return Curvature(blocks, row_scene)

    def step(self, gradient: Tensor, damping: Tensor) -> Tensor:
        """``-(H + damping diag H)^-1 g``: ``(N, D)`` from ``(N, D)`` and ``(S,)``.

        A scene whose system cannot be solved takes no step.
        """
        step = torch.zeros_like(gradient)
        for people, (scenes, matrices) in self.blocks.items():
            rows = torch.nonzero(torch.isin(self.row_scene, scenes))[:, 0]
            matrix = matrices.double()
            g = gradient[rows].double().reshape(len(scenes), -1)
            diagonal = matrix.diagonal(dim1=1, dim2=2)
            scaled = damping[scenes, None] * diagonal
            # a number that nothing depends on stays
            scaled = torch.where(diagonal > 0, scaled + 1e-9 * diagonal, 1.0)
            factor, info = torch.linalg.cholesky_ex(matrix + torch.diag_embed(scaled))
            found = -torch.cholesky_solve(g[..., None], factor)[..., 0]
            usable = (info == 0) & found.isfinite().all(1)
            found = torch.where(usable[:, None], found, 0.0)
            step[rows] = found.reshape(len(scenes) * people, -1).to(step.dtype)
        return step


def curvature(
    weighted: Sequence[tuple[str, Term, float]], state: FitState, names: Sequence[str], moves: Tensor
) -> Curvature:
    """The curvature of the sum of weighted terms.

    Args:
        weighted: ``(name, term, weight)``.
        names: the free parameters, D numbers.
        moves: ``(N, D)`` 1 where a number may change, 0 where it is held.
    """
    batch = state.batch
    movement = Movement(state, names)
    diagonal = batch.keypoints.new_zeros(batch.rows, movement.size)
    squares: list[tuple[Residuals, float]] = []
    for _, term, weight in weighted:
        if isinstance(term, SquaresTerm):
            with torch.no_grad():
                squares.append((term.residuals(state, movement), weight))
        elif getattr(term, "separable", False):
            diagonal += weight * _separable_curvature(term, state, movement)
    local, people = _people(batch.row_scene, batch.size)
    blocks = {}
    for count in torch.unique(people).tolist():
        scenes = torch.nonzero(people == count)[:, 0]
        jacobian = _jacobian(squares, batch.row_scene, local, scenes, count, diagonal)
        rows = batch.rows_of(scenes)
        jacobian = jacobian * moves[rows].reshape(len(scenes), 1, -1)
        matrices = jacobian.transpose(1, 2) @ jacobian
        own = (diagonal * moves)[rows].reshape(len(scenes), -1)
        blocks[count] = (scenes, matrices + torch.diag_embed(own))
    return Curvature(blocks, batch.row_scene)


def _people(row_scene: Tensor, scenes: int) -> tuple[Tensor, Tensor]:
    """``(N,)`` each person's number within their scene, and ``(S,)`` how many people each scene has."""
    people = torch.bincount(row_scene, minlength=scenes)
    first = people.cumsum(0) - people
    return torch.arange(len(row_scene), device=row_scene.device) - first[row_scene], people


def _separable_curvature(term: Term, state: FitState, movement: Movement) -> Tensor:
    """``(N, D)`` second derivatives of a separable term: the derivative of the sum of its gradient."""
    with torch.enable_grad():
        leaves = {name: state.params[name].detach().clone().requires_grad_() for name in movement.columns}
        moved = FitState(
            state.body,
            state.regions,
            state.topology,
            state.batch,
            {**state.params, **leaves},
            state.start,
            state.reference,
        )
        value = term(moved).sum()
        wanted = list(leaves.values())
        if not value.requires_grad:  # of parameters that do not move
            return torch.zeros_like(torch.cat(wanted, 1).detach())
        first = torch.autograd.grad(value, wanted, create_graph=True, allow_unused=True)
        total = sum((g.sum() for g in first if g is not None and g.requires_grad), value.new_zeros(()))
        second: Sequence[Tensor | None] = [None] * len(wanted)
        if total.requires_grad:
            second = torch.autograd.grad(total, wanted, allow_unused=True)
    pairs = zip(second, wanted, strict=True)
    return torch.cat([torch.zeros_like(leaf) if s is None else s for s, leaf in pairs], 1)


def _jacobian(
    squares: Sequence[tuple[Residuals, float]],
    row_scene: Tensor,
    local: Tensor,
    scenes: Tensor,
    people: int,
    like: Tensor,
) -> Tensor:
    """``(G, R, P D)``: all residuals of G scenes of P people, times the root of twice their weight.

    Scenes with fewer residuals than others have rows of zeros. ``like (N, D)`` says the type.
    """
    place = torch.full((int(row_scene.max()) + 1,), -1, dtype=torch.int64, device=row_scene.device)
    place[scenes] = torch.arange(len(scenes), device=scenes.device)
    filled = torch.zeros(len(scenes), dtype=torch.int64, device=scenes.device)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for residuals, weight in squares:
        owner = place[row_scene[residuals.parts[0][0]]]
        kept = torch.nonzero(owner >= 0)[:, 0]
        owner = owner[kept]
        width = residuals.value.shape[1]
        scale = (2 * weight * residuals.weight[kept]).sqrt()[:, None, None]
        at = filled[owner] + width * rank_within(owner, len(scenes))
        filled = filled + width * torch.bincount(owner, minlength=len(scenes))
        for rows, jacobian in residuals.parts:
            found.append((owner, at, local[rows[kept]], jacobian[kept] * scale))
    longest, size = int(filled.max()), like.shape[1]
    out = like.new_zeros(len(scenes) * longest * people, size)
    for owner, at, person, jacobian in found:
        width = jacobian.shape[1]
        lines = at[:, None] + torch.arange(width, device=at.device)
        target = (owner[:, None] * longest + lines) * people + person[:, None]
        out.index_add_(0, target.flatten(), jacobian.flatten(0, 1))
    return out.reshape(len(scenes), longest, people * size)


def rank_within(owner: Tensor, owners: int) -> Tensor:
    """``(K,)`` how many earlier items have the same owner."""
    order = torch.argsort(owner, stable=True)
    count = torch.bincount(owner, minlength=owners)
    first = count.cumsum(0) - count
    rank = torch.empty_like(owner)
    rank[order] = torch.arange(len(owner), device=owner.device) - first[owner[order]]
    return rank
