"""Bring drawn scenes together: points meet, skins face each other, joints stay in range, nobody overlaps.

A kinematic target solve in two parts, `meet` and `settle`. Neither uses a loss of `apu_losses.functional`:
no regions, no keypoints, no pose prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.bodies import LinearBlendBody
from apu_losses.synthetic.draw import DrawnScene
from apu_losses.synthetic.meet import meet
from apu_losses.synthetic.problem import Problem
from apu_losses.synthetic.settle import settle


@dataclass(frozen=True, eq=False)
class SolvedScenes:
    """Parameters of N scenes, two rows each: ``(2 N, size)`` by name, in the truth body's words."""

    parameters: dict[str, Tensor]
    vertices: Tensor
    joints: Tensor
    touch: tuple[NDArray[np.int64], ...]


def solve(body: LinearBlendBody, scenes: Sequence[DrawnScene]) -> SolvedScenes:
    """Solve drawn scenes together.

    Args:
        body: `load_truth_body`, in float64.
        scenes: any number; each is solved as if it were alone, up to rounding.
    """
    problem = Problem(body, scenes)
    free = {name: value.clone().requires_grad_() for name, value in problem.base.items()}
    meet(problem, free)
    with torch.no_grad():
        parameters = problem.parameters(settle(problem, free))
        posed = body.pose(parameters)
        owner = (problem.touch_row // 2).numpy()
        pairs = problem.touch_vertex.numpy()
        touch = tuple(pairs[owner == n] for n in range(len(scenes)))
        return SolvedScenes(parameters, posed.vertices(), posed.joints, touch)
