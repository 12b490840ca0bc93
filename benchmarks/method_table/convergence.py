"""How the error of a method falls with its iterations: whether it was stopped where that flatters it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from apu_losses.fitting import FitProgress, Preset
from apu_losses.functional.metrics import joint_pa_mpjpe
from method_table.methods import Method
from method_table.run import MethodRunner
from method_table.scores import BODY_JOINTS


class Trace(NamedTuple):
    """How a block went: mean joint PA-MPJPE of all its scenes.

    Attributes:
        iterations: ``(K,)``
        joint_pa: ``(K,)`` metres after each.
        stage_ends: numbers of iterations at which a stage ends.
    """

    iterations: NDArray[np.int64]
    joint_pa: NDArray[np.float64]
    stage_ends: tuple[int, ...]


def never_stopping(preset: Preset, factor: float) -> Preset:
    """Return a preset with ``factor`` times its iterations in each stage, and no rule that ends one
    before.
    """
    stages = tuple(
        replace(
            stage,
            max_iterations=round(factor * stage.max_iterations),
            relative_slope=None,
            absolute_slope=None,
        )
        for stage in preset.stages
    )
    return replace(preset, stages=stages)


def trace(
    runner: MethodRunner, method: Method, number: int = 0, *, factor: float = 2.0, every: int = 10
) -> Trace:
    """Follow one block of scenes through a fit that does not stop by itself.

    Raises:
        ValueError: a method that is not fitted.
    """
    if method.preset is None:
        raise ValueError(f"{method.key} is not fitted, so it has no iterations")
    seen, _ = runner.observed(method.observed, number)
    truth = torch.as_tensor(
        np.stack([o.joints[:, :BODY_JOINTS] for o in seen]), dtype=torch.float32, device="cpu"
    )
    preset = never_stopping(method.preset, factor)
    first = {s.name: sum(x.max_iterations for x in preset.stages[:i]) for i, s in enumerate(preset.stages)}
    second_order = {s.name for s in preset.stages if s.optimizer == "levenberg_marquardt"}
    iterations: list[int] = []
    errors: list[float] = []
    held = torch.full(
        (len(seen),), torch.nan, dtype=torch.float32, device="cpu"
    )  # a scene that has ended stays in the mean
    reached = [0]

    def look(progress: FitProgress) -> None:
        shown = progress.iteration % every == 0 or progress.iteration + 1 == progress.max_iterations
        if not shown and progress.stage not in second_order:
            return
        state = progress.state
        with torch.no_grad():
            posed = state.body.pose({name: value.detach() for name, value in state.params.items()})
        joints = posed.joints[:, :BODY_JOINTS].unflatten(0, (-1, 2)).cpu()
        found = joint_pa_mpjpe(joints, truth[progress.scenes.cpu()])
        for scene, taken, error in zip(progress.scenes.tolist(), progress.taken.tolist(), found, strict=True):
            if taken:
                held[scene] = error
        reached[0] = first[progress.stage] + progress.iteration
        if shown:
            iterations.append(reached[0])
            errors.append(float(held.mean()))

    runner.fitter(replace(method, preset=preset)).fit(runner.given(method, number), callback=look)
    if reached[0] > iterations[-1]:  # all scenes had ended before their last stage did
        iterations.append(reached[0])
        errors.append(float(held.mean()))
    ends = tuple(first[s.name] + s.max_iterations for s in preset.stages)
    return Trace(np.array(iterations), np.array(errors), ends)
