"""How the error of a method falls with its iterations: whether it was stopped where that flatters it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from apu_losses.fitting import FitProgress, Preset
from apu_losses.functional.metrics import joint_pa_mpjpe
from apu_losses.synthetic.method_table.methods import Method
from apu_losses.synthetic.method_table.run import MethodRunner
from apu_losses.synthetic.method_table.scores import BODY_JOINTS


class Trace(NamedTuple):
    """Mean joint PA-MPJPE of a block in metres ``(K,)`` after each of so many ``iterations (K,)``; the
    numbers of iterations at which a stage ends."""

    iterations: NDArray[np.int64]
    joint_pa: NDArray[np.float64]
    stage_ends: tuple[int, ...]


def never_stopping(preset: Preset, factor: float) -> Preset:
    """A recipe with ``factor`` times its iterations in each stage, and no rule that ends one before."""
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
    truth = torch.as_tensor(np.stack([o.joints[:, :BODY_JOINTS] for o in seen]), dtype=torch.float32)
    preset = never_stopping(method.preset, factor)
    first = {s.name: sum(x.max_iterations for x in preset.stages[:i]) for i, s in enumerate(preset.stages)}
    iterations: list[int] = []
    errors: list[float] = []

    def look(progress: FitProgress) -> None:
        if progress.iteration % every and progress.iteration + 1 != progress.max_iterations:
            return
        state = progress.state
        with torch.no_grad():
            posed = state.body.pose({name: value.detach() for name, value in state.params.items()})
        joints = posed.joints[:, :BODY_JOINTS].unflatten(0, (-1, 2)).cpu()
        iterations.append(first[progress.stage] + progress.iteration)
        errors.append(float(joint_pa_mpjpe(joints, truth[progress.scenes.cpu()]).mean()))

    runner.fitter(replace(method, preset=preset)).fit(runner.given(method, number), callback=look)
    ends = tuple(first[s.name] + s.max_iterations for s in preset.stages)
    return Trace(np.array(iterations), np.array(errors), ends)
