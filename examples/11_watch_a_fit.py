"""Watching a fit: the loss of every term, and the people as they move.

A callback is called once an iteration with the live state. Here one prints a line now and then and keeps
where a hand was; `apu_losses.viz.FitFilm` is a callback that draws. Several callbacks are one function that
calls them.

    python examples/11_watch_a_fit.py
"""

from __future__ import annotations

import torch

import apu_losses as al
from apu_losses.app.demo import demo_scene
from apu_losses.fitting import FitLog, FitProgress


def main(log_file: str = "fit.jsonl", every: int = 5) -> list[torch.Tensor]:
    """Return where the left wrist of each person was in each iteration, (2, 3) metres."""
    fitter = al.SceneFitter(preset="best")
    wrist = fitter.body.joint_names.index("left_wrist")
    path: list[torch.Tensor] = []

    def watch(now: FitProgress) -> None:
        path.append(now.state.joints[:, wrist].detach().clone())  # the state lives on: keep a copy
        log(now)
        if now.iteration % every == 0:
            parts = ", ".join(f"{name} {value[0]:.1f}" for name, value in now.terms.items())
            print(f"{now.stage} {now.iteration}: {now.loss[0]:.1f} = {parts}")

    with FitLog(log_file, every=10) as log:
        (result,) = fitter.fit([demo_scene()], callback=watch)
    moved = (path[-1] - path[0]).norm(dim=1)
    print(f"{result.stages[-1].reason}; wrists moved by {100 * moved[0]:.0f} and {100 * moved[1]:.0f} cm")
    return path


if __name__ == "__main__":
    main()
