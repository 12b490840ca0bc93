"""Terms as sums of squares, for second-order steps: residuals and how they move with the parameters.

A term may have a method ``residuals(state, movement) -> Residuals`` (it is a weighted sum of squares, or is
treated as one with the weights of the moment: iteratively reweighted least squares), or an attribute
``separable = True`` (a sum of functions of single numbers of the parameters, whose curvature is a diagonal).
A term with neither, such as a user's own function, is taken for the square of its root: one residual a scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from apu_losses.bodies.derivatives import BodyDerivatives, body_derivatives
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.term import Term
from apu_losses.numerics.least_squares import damped_step


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

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return the residuals whose squares add up to the term, and how they change with a movement."""
        ...


@dataclass(frozen=True)
class Curvature:
    """Gauss-Newton's approximation of the second derivatives of each scene's loss.

    A scene's matrix is over the F numbers of its people that may move. Nothing of others goes into it,
    not even the size of what is summed, so that a scene takes the same steps in any company.

    Attributes:
        numbers: of each scene, ``(F,)`` which of its people's P times D free numbers may move, person after
            person.
        matrices: of each scene, ``(F, F)``.
    """

    numbers: tuple[Tensor, ...]
    matrices: tuple[Tensor, ...]

    def replaced(self, which: Tensor, other: Curvature) -> Curvature:
        """``other``'s matrices for the scenes ``which (S,)`` bool, these for the rest."""
        pairs = zip(which.tolist(), self.matrices, other.matrices, strict=True)
        return Curvature(self.numbers, tuple(new if taken else old for taken, old, new in pairs))

    def only(self, kept: Tensor) -> Curvature:
        """Of the scenes ``kept (A,)`` alone."""
        scenes = kept.tolist()
        return Curvature(tuple(self.numbers[s] for s in scenes), tuple(self.matrices[s] for s in scenes))

    def step(self, gradient: Tensor, damping: Tensor, row_scene: Tensor) -> Tensor:
        """``-(H + damping diag H)^-1 g``: ``(N, D)`` from ``(N, D)`` and ``(S,)``.

        A scene whose system cannot be solved takes no step.

        Args:
            row_scene: ``(N,)`` the scene of each person, rising.
        """
        steps = []
        people = torch.bincount(row_scene, minlength=len(self.matrices)).tolist()
        for own, share, numbers, matrix in zip(
            gradient.double().split(people), damping, self.numbers, self.matrices, strict=True
        ):
            step = torch.zeros_like(own).flatten()
            curve = matrix.double()
            diagonal = curve.diagonal()
            # a number that nothing depends on stays
            added = torch.where(diagonal > 0, (share + 1e-9) * diagonal, 1.0)
            step[numbers] = damped_step(own.flatten()[numbers], curve, added)
            steps.append(step.reshape(own.shape))
        return torch.cat(steps).to(gradient.dtype)


def curvature(
    weighted: Sequence[tuple[str, Term, float]], state: FitState, names: Sequence[str], moves: Tensor
) -> Curvature:
    """Return the curvature of the sum of weighted terms.

    Args:
        weighted: ``(name, term, weight)``.
        names: the free parameters, D numbers.
        moves: ``(N, D)`` 1 where a number may change, 0 where it is held.
    """
    batch = state.batch
    movement = Movement(state, names)
    diagonal = batch.keypoints.new_zeros(batch.rows, movement.size)
    squares: list[tuple[Residuals, float]] = []
    roots: list[Tensor] = []
    for _, term, weight in weighted:
        if isinstance(term, SquaresTerm):
            with torch.no_grad():
                squares.append((term.residuals(state, movement), weight))
        elif getattr(term, "separable", False):
            diagonal += weight * _separable_curvature(term, state, movement)
        else:
            roots.append(weight**0.5 * _root_jacobian(term, state, movement))
    people = torch.bincount(batch.row_scene, minlength=batch.size)
    jacobians = _jacobians(squares, batch.row_scene, people, diagonal)
    numbers, matrices = [], []
    of_roots = [root.split(people.tolist()) for root in roots]
    for scene, (jacobian, own, free) in enumerate(
        zip(jacobians, diagonal.split(people.tolist()), moves.split(people.tolist()), strict=True)
    ):
        which = torch.nonzero(free.flatten())[:, 0]
        j = jacobian[:, which]
        matrix = j.T @ j + torch.diag(own.flatten()[which])
        for root in of_roots:
            row = root[scene].flatten()[which]
            matrix = matrix + row[:, None] * row
        numbers.append(which)
        matrices.append(matrix)
    return Curvature(tuple(numbers), tuple(matrices))


def _with_leaves(state: FitState, movement: Movement) -> tuple[FitState, list[Tensor]]:
    """Return the same state by free parameters of its own, and these."""
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
    return moved, list(leaves.values())


def _root_jacobian(term: Term, state: FitState, movement: Movement) -> Tensor:
    """``(N, D)`` the derivative of the root of each scene's value, times the root of two.

    The outer product of a scene's is ``g g^T / 2v``, the curvature of the square of one residual: exact for
    a square, and never negative. Zero where the value is not positive.
    """
    with torch.enable_grad():
        moved, wanted = _with_leaves(state, movement)
        value = term(moved)
        if not value.requires_grad:  # of parameters that do not move
            return torch.zeros_like(torch.cat(wanted, 1).detach())
        first = torch.autograd.grad(value.sum(), wanted, allow_unused=True)
    pairs = zip(first, wanted, strict=True)
    gradient = torch.cat([torch.zeros_like(leaf) if g is None else g for g, leaf in pairs], 1)
    each = value.detach()[state.batch.row_scene, None]
    found = gradient / (2 * each).sqrt()
    return torch.where((each > 0) & found.isfinite(), found, 0.0)


def _separable_curvature(term: Term, state: FitState, movement: Movement) -> Tensor:
    """``(N, D)`` second derivatives of a separable term: the derivative of the sum of its gradient."""
    with torch.enable_grad():
        moved, wanted = _with_leaves(state, movement)
        value = term(moved).sum()
        if not value.requires_grad:  # of parameters that do not move
            return torch.zeros_like(torch.cat(wanted, 1).detach())
        first = torch.autograd.grad(value, wanted, create_graph=True, allow_unused=True)
        total = sum((g.sum() for g in first if g is not None and g.requires_grad), value.new_zeros(()))
        second: Sequence[Tensor | None] = [None] * len(wanted)
        if total.requires_grad:
            second = torch.autograd.grad(total, wanted, allow_unused=True)
    pairs = zip(second, wanted, strict=True)
    return torch.cat([torch.zeros_like(leaf) if s is None else s for s, leaf in pairs], 1)


def _jacobians(
    squares: Sequence[tuple[Residuals, float]], row_scene: Tensor, people: Tensor, like: Tensor
) -> list[Tensor]:
    """Of each scene ``(R, P D)``: all its residuals, times the root of twice their weight.

    Args:
        row_scene: ``(N,)`` the scene of each person, rising.
        people: ``(S,)`` how many people each scene has.
        like: ``(N, D)``, for its type.
    """
    first = people.cumsum(0) - people
    filled = torch.zeros_like(people)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for residuals, weight in squares:
        owner = row_scene[residuals.parts[0][0]]
        width = residuals.value.shape[1]
        scale = (2 * weight * residuals.weight).sqrt()[:, None, None]
        at = filled[owner] + width * rank_within(owner, len(people))
        filled = filled + width * torch.bincount(owner, minlength=len(people))
        found += [(owner, at, rows, jacobian * scale) for rows, jacobian in residuals.parts]
    ends = (filled * people).cumsum(0)
    begins = ends - filled * people
    size = like.shape[1]
    out = like.new_zeros(int(ends[-1]), size)  # a line for each residual and person
    for owner, at, rows, jacobian in found:
        lines = at[:, None] + torch.arange(jacobian.shape[1], device=at.device)
        person = (rows - first[owner])[:, None]
        target = begins[owner][:, None] + lines * people[owner][:, None] + person
        out.index_add_(0, target.flatten(), jacobian.flatten(0, 1))
    parts = zip(out.split((ends - begins).tolist()), people.tolist(), strict=True)
    return [part.reshape(-1, count * size) for part, count in parts]


def rank_within(owner: Tensor, owners: int) -> Tensor:
    """``(K,)`` how many earlier items have the same owner."""
    order = torch.argsort(owner, stable=True)
    count = torch.bincount(owner, minlength=owners)
    first = count.cumsum(0) - count
    rank = torch.empty_like(owner)
    rank[order] = torch.arange(len(owner), device=owner.device) - first[owner[order]]
    return rank
