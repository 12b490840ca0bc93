"""How people are built: shape, stature and age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from apu_losses.fitting.body_parameters import SHAPES, shape_parameter
from apu_losses.fitting.objective.residuals import Movement, Residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.shape import shape_change_prior, shape_prior, stature_prior


@dataclass(frozen=True)
class ShapeTerm:
    """Shape coefficients stay small (paper: sum of squares), or near the start of the fit.

    Anny's phenotypes have no zero to be near: they stay near the start. A posed mesh has no shape: 0.

    Options: ``around``: ``"zero"`` or ``"start"``; ``first``: factor on the first coefficient, mostly
    stature; 0 leaves it to the stature term.
    """

    around: Literal["zero", "start"] = "zero"
    first: float = 1.0
    separable = True

    def __post_init__(self) -> None:
        check_options(self)

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        name = shape_parameter(state.body)
        if name is None:
            return state.batch.keypoints.new_zeros(state.batch.size)
        if name != "betas":
            return state.per_scene(shape_change_prior(state.params[name], state.start[name]))
        betas = state.params["betas"]
        if self.around == "zero" and self.first == 1.0:
            return state.per_scene(shape_prior(betas))
        anchor = torch.zeros_like(betas) if self.around == "zero" else state.start["betas"]
        weights = torch.ones_like(betas[0])
        weights[0] = self.first
        return state.per_scene(shape_change_prior(betas, anchor, weights=weights))


@dataclass(frozen=True)
class StatureTerm:
    """Standing height stays near the start's, square centimetres.

    A unit of the first shape coefficient may be 6 or 30 cm of stature, depending on the body; penalised by
    coefficient, contact shrinks people towards the camera.
    """

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        with torch.no_grad():
            start = state.body.stature(state.start)
        return state.per_scene(stature_prior(state.stature, start))

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Centimetres of stature won or lost."""
        names = [name for name in (*SHAPES, "age") if name in movement.columns]
        with torch.enable_grad():
            leaves = {name: state.params[name].detach().clone().requires_grad_() for name in names}
            stature = state.body.stature({**state.params, **leaves})
            total = stature.sum()
        moved = stature.new_zeros(len(stature), 1, movement.size)
        if total.requires_grad:
            slopes = torch.autograd.grad(total, [leaves[n] for n in names], allow_unused=True)
            for name, slope in zip(names, slopes, strict=True):
                if slope is not None:
                    moved = moved + movement.of_parameter(name, 100 * slope[:, None])
        value = 100 * (stature.detach() - state.body.stature(state.start))[:, None]
        rows = torch.arange(len(value), device=value.device)
        return Residuals(value, torch.ones_like(value[:, 0]), [(rows, moved)])


@dataclass(frozen=True)
class AgeTerm:
    """Age stays near the start's and inside [0, 1]; squares of its unit. 0 for a body without age."""

    outside: float = 100.0
    separable = True

    def __post_init__(self) -> None:
        check_options(self)

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        if "age" not in state.params:
            return state.batch.keypoints.new_zeros(state.batch.size)
        age = state.params["age"]
        beyond = torch.relu(-age) + torch.relu(age - 1)
        return state.per_scene(((age - state.start["age"]).square() + self.outside * beyond.square()).sum(1))
