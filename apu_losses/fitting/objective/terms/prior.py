"""The prior of two people as a term: where it would have them is where they are drawn to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from apu_losses.bodies.skinning_derivatives import right_jacobian
from apu_losses.fitting.objective.batch import SceneBatch
from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.numerics.ordered import ordered_matmul
from apu_losses.numerics.rotation_difference import rotation_difference
from apu_losses.numerics.rotations import rotation_matrix
from apu_losses.prior import ContactPrior, Guidance, PriorLayout, drawn_noise, guide, load_prior

Between = Literal["edges", "people"]


@dataclass(frozen=True)
class PriorTerm:
    """People are drawn to where a prior of two people has them, by their parameters.

    The pair as it is gets some noise, the prior takes it away, and what comes out is where the two are drawn
    to; no gradient goes through the prior. What counts is how each is posed, and where the two are to each
    other: not where both are.

    Options: ``prior``: the name of a prior or the path of its file; ``t``: how much noise, of the prior's
    steps; ``seed`` of the noise, the same in every iteration; ``told``: whether the prior knows the start of
    the fit; ``scale`` of classifier-free guidance; ``between``: ``"people"``: every two of a scene, or
    ``"edges"``: those that an edge of the contact graph joins; ``pose``, ``orient``: factors on square
    radians, ``shape`` on squares of its numbers, ``transl`` on square metres; ``squared``: False takes the
    length of each of these, as BUDDI does.
    """

    prior: str = "free"
    t: int = 10
    seed: int = 0
    told: bool = True
    scale: float = 1.0
    between: Between = "people"
    pose: float = 1.0
    shape: float = 0.0
    orient: float = 0.0
    transl: float = 100.0
    squared: bool = True

    def __post_init__(self) -> None:
        check_options(self)
        if isinstance(self.t, bool) or not isinstance(self.t, int) or self.t < 0:
            raise ValueError(f"t must be a whole number, at least 0, got {self.t!r}")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        found = _guidance(self, state)
        if found is None:
            return state.batch.keypoints.new_zeros(state.batch.size)
        value, named = found
        total = state.batch.keypoints.new_zeros(len(value.rows_a))
        for factor, apart in self._apart(state, value):
            square = apart.square().sum(1)
            total = total + factor * (square if self.squared else square.clamp(min=1e-16).sqrt())
        return state.batch.per_scene(total, state.batch.pair_scene[named])

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return how far each number is from where the prior has it."""
        found = _guidance(self, state)
        if found is None:
            return no_residuals(state, movement)
        value, _ = found
        a, b = value.rows_a, value.rows_b
        out: list[tuple[Tensor, Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]] = []
        of_part = list(self._parts(value))
        for (part, whose), (factor, apart) in zip(of_part, self._apart(state, value), strict=True):
            apart = apart.detach()
            weight = apart.new_full((len(apart),), factor)
            if not self.squared:
                weight = 0.5 * weight / apart.square().sum(1).clamp(min=1e-16).sqrt()
            own, other = (a, b) if whose == 0 else (b, a)
            mine, theirs = self._moved(state, movement, value, part, whose)
            width = apart.shape[1] // 3
            flat = [x.unflatten(1, (width, 3)).flatten(0, 1) for x in (mine, theirs)]
            rows = [r.repeat_interleave(width) for r in (own, other)]
            out.append(
                (
                    apart.reshape(-1, 3),
                    weight.repeat_interleave(width),
                    (rows[0], flat[0]),
                    (rows[1], flat[1]),
                )
            )
        if not out:
            return no_residuals(state, movement)
        values, weights, first, second = zip(*out, strict=True)
        parts = [(torch.cat([r for r, _ in p]), torch.cat([j for _, j in p])) for p in (first, second)]
        return Residuals(torch.cat(values), torch.cat(weights), parts)

    def _parts(self, value: Guidance) -> list[tuple[str, int]]:
        """Return what is compared, and of whom: 0, 1 (what lies between them is counted to the second)."""
        wanted = [("pose", 0), ("pose", 1), ("shape", 0), ("shape", 1), ("orient", 1), ("transl", 1)]
        return [p for p in wanted if getattr(self, p[0]) > 0 and (p[0] != "shape" or value.shape)]

    def _apart(self, state: FitState, value: Guidance) -> list[tuple[float, Tensor]]:
        """``(P, n)`` of each of `_parts`, n a multiple of 3, with its factor."""
        found = []
        rows = (value.rows_a, value.rows_b)
        params = state.params
        for part, whose in self._parts(value):
            own = rows[whose]
            if part == "pose":
                apart = rotation_difference(params["body_pose"][own], value.pose[:, whose]).flatten(1)
            elif part == "shape":
                names = list(value.shape)
                now = torch.cat([params[n][own] for n in names], 1)
                apart = now - torch.cat([value.shape[n][:, whose] for n in names], 1)
                apart = torch.nn.functional.pad(apart, (0, -apart.shape[1] % 3))
            elif part == "orient":
                apart = self._turned(state, value)
            else:
                apart = params["transl"][rows[1]] - params["transl"][rows[0]] - value.apart
            found.append((getattr(self, part), apart))
        return found

    @staticmethod
    def _turned(state: FitState, value: Guidance) -> Tensor:
        """``(P, 3)`` the turn from where the first has the second's root to where it is."""
        turn_a, turn_b = (
            rotation_matrix(state.params["global_orient"][r]) for r in (value.rows_a, value.rows_b)
        )
        seen = ordered_matmul(turn_a.transpose(-1, -2), turn_b)
        off = ordered_matmul(value.turn.transpose(-1, -2), seen)
        return _small_turn(off)

    def _moved(
        self, state: FitState, movement: Movement, value: Guidance, part: str, whose: int
    ) -> tuple[Tensor, Tensor]:
        """``(P, n, D)`` how one of `_parts` moves with its own person, and with the other."""
        rows = (value.rows_a, value.rows_b)
        params, own, pairs = state.params, rows[whose], len(rows[0])
        if part == "pose":
            turned = right_jacobian(params["body_pose"][own].unflatten(1, (-1, 3)))
            joints = turned.shape[1]
            jacobian = turned.new_zeros(pairs, joints, 3, joints, 3)
            each = torch.arange(joints, device=turned.device)
            jacobian[:, each, :, each] = turned.transpose(0, 1)
            moved = movement.of_parameter("body_pose", jacobian.flatten(3).flatten(1, 2))
            return moved, torch.zeros_like(moved)
        if part == "shape":
            names = list(value.shape)
            sizes = [params[n].shape[1] for n in names]
            total = sum(sizes)
            eye = torch.eye(total, dtype=params["transl"].dtype, device=own.device)
            eye = torch.nn.functional.pad(eye, (0, 0, 0, -total % 3)).expand(pairs, -1, -1)
            each_name = zip(names, eye.split(sizes, 2), strict=True)
            moved = torch.stack([movement.of_parameter(n, x) for n, x in each_name]).sum(0)
            return moved, torch.zeros_like(moved)
        if part == "orient":
            now = [params["global_orient"][r] for r in rows]
            by_b = right_jacobian(now[1][:, None])[:, 0]
            turn = [rotation_matrix(x) for x in now]
            seen = ordered_matmul(turn[1].transpose(-1, -2), turn[0])
            by_a = -ordered_matmul(seen, right_jacobian(now[0][:, None])[:, 0])
            return movement.of_parameter("global_orient", by_b), movement.of_parameter("global_orient", by_a)
        eye = torch.eye(3, dtype=params["transl"].dtype, device=own.device).expand(pairs, 3, 3)
        return movement.of_parameter("transl", eye), movement.of_parameter("transl", -eye)


@dataclass(frozen=True)
class PriorVertexTerm:
    """The same by vertices: bodies are drawn to the bodies that the prior has in mind.

    Options: ``prior``, ``t``, ``seed``, ``told``, ``scale`` and ``between`` as of `PriorTerm`; ``vertices``:
    so many of each body are compared, spread evenly over the list of its vertices. Square metres, mean over
    the vertices.
    """

    prior: str = "free"
    t: int = 10
    seed: int = 0
    told: bool = True
    scale: float = 1.0
    between: Between = "people"
    vertices: int = 256

    def __post_init__(self) -> None:
        check_options(self)
        for name, least in (("t", 0), ("vertices", 1)):
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int) or given < least:
                raise ValueError(f"{name} must be a whole number, at least {least}, got {given!r}")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        found = _guidance(self, state)
        if found is None:
            return state.batch.keypoints.new_zeros(state.batch.size)
        value, named = found
        count = min(self.vertices, state.body.num_vertices)
        ids = torch.arange(count, device=value.rows_a.device) * state.body.num_vertices // count
        rest = {n: v for n, v in state.params.items() if n not in value.params}
        total = state.batch.keypoints.new_zeros(len(value.rows_a))
        for whose, rows in enumerate((value.rows_a, value.rows_b)):
            wanted = {**{n: v.detach()[rows] for n, v in rest.items()}}
            wanted |= {n: v[:, whose] for n, v in value.params.items()}
            with torch.no_grad():
                there = state.body.pose(wanted).vertices(ids)
            each = ids.repeat(len(rows))
            here = state.select(rows.repeat_interleave(count), each).unflatten(0, (-1, count))
            total = total + (here - there).square().sum((1, 2)) / count
        return state.batch.per_scene(total, state.batch.pair_scene[named])


def _guidance(term: PriorTerm | PriorVertexTerm, state: FitState) -> tuple[Guidance, Tensor] | None:
    """Return where the pairs of a state should be, and which pairs these are; None where there are none."""
    named = _pairs(state.batch, term.between)
    if not len(named):
        return None
    return state.once((type(term).__name__, term), lambda: (_guided(term, state, named), named))


def _guided(term: PriorTerm | PriorVertexTerm, state: FitState, named: Tensor) -> Guidance:
    prior = _prior_for(term, state)
    rows = state.batch.pair_a[named], state.batch.pair_b[named]
    start = state.start if term.told else None
    noise = drawn_noise(prior, term.seed)
    return guide(prior, state.body, state.params, start, *rows, noise, term.t, scale=term.scale)


def _prior_for(term: PriorTerm | PriorVertexTerm, state: FitState) -> ContactPrior:
    """Return the prior of a term, once it is known to be for this body."""
    prior = load_prior(term.prior)
    if term.t >= prior.schedule.steps:
        raise ValueError(f"t must be below the {prior.schedule.steps} steps of the prior, got {term.t}")
    prior.layout.check(PriorLayout.of_body(state.body), f"prior {term.prior!r}")
    return prior.to(state.params["transl"].device)


def _pairs(batch: SceneBatch, between: Between) -> Tensor:
    """Return indices of the pairs of people that the prior looks at."""
    if between == "people":
        return torch.arange(len(batch.pair_a), device=batch.pair_a.device)
    joined = set(zip(batch.edge_rows_a, batch.edge_rows_b, strict=True))
    joined |= {(b, a) for a, b in joined}
    of_pairs = zip(batch.pair_a.tolist(), batch.pair_b.tolist(), strict=True)
    chosen = [i for i, pair in enumerate(of_pairs) if pair in joined]
    return torch.tensor(chosen, dtype=torch.int64, device=batch.pair_a.device)


def _small_turn(matrix: Tensor) -> Tensor:
    """Return the rotation vector of matrices ``(P, 3, 3)`` that are not half a turn: ``(P, 3)``."""
    skew = torch.stack(
        [
            matrix[:, 2, 1] - matrix[:, 1, 2],
            matrix[:, 0, 2] - matrix[:, 2, 0],
            matrix[:, 1, 0] - matrix[:, 0, 1],
        ],
        1,
    )
    cosine = 0.5 * (matrix.diagonal(dim1=1, dim2=2).sum(1, keepdim=True) - 1)
    # the length of half of the skew part is the sine; half of the angle has the tangent sin / (1 + cos)
    square = (0.5 * skew).square().sum(1, keepdim=True)
    small = square < 1e-8
    sine = torch.where(small, 1.0, square).sqrt()
    factor = 2 * torch.atan(sine / (1 + cosine).clamp(min=1e-6)) / sine
    return 0.5 * skew * torch.where(small, 1 + square / 6, factor)
