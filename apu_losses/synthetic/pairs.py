"""Synthetic scenes as pairs for a prior: the truth, and what the simulated estimator says of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apu_losses.fitting import SceneFitter, scene_from_detections
from apu_losses.prior.pairs import PairSet
from apu_losses.synthetic.observation_noise import ObservationNoise
from apu_losses.synthetic.observe import observe
from apu_losses.synthetic.scene_truth import TruthScene

_TRUE = ("global_orient", "body_pose", "betas", "age", "transl")


def pairs_of_scenes(
    scenes: Sequence[TruthScene],
    fitter: SceneFitter,
    *,
    seeds: Sequence[int] = (0,),
    noise: ObservationNoise | None = None,
    batch: int = 32,
) -> PairSet:
    """Observe each scene with each seed, and put the estimates where a fit would begin.

    Args:
        scenes: the truth; the shape directions that the fitter's body lacks are left out.
        fitter: whose body and start are meant.
        seeds: of the observations; a scene is one pair for each.
        noise: the dials of the observation.
        batch: scenes whose start is solved at once.

    Returns:
        pairs by seed, then by scene, labelled by the type of interaction.
    """
    wanted = [(scene, seed) for seed in seeds for scene in scenes]
    starts: list[dict[str, np.ndarray]] = []
    for first in range(0, len(wanted), batch):
        seen = [observe(scene, noise, seed) for scene, seed in wanted[first : first + batch]]
        given = [
            scene_from_detections(
                o.detections, o.view.width, o.view.height, name=o.truth.name, body=fitter.body
            )
            for o in seen
        ]
        found = fitter.start(given)
        starts.append({n: found[n].cpu().numpy().reshape(len(given), 2, -1) for n in _TRUE})
    return PairSet(
        {name: np.stack([scene.parameters[name] for scene, _ in wanted]) for name in _TRUE},
        {name: np.concatenate([s[name] for s in starts]) for name in _TRUE},
        [scene.interaction for scene, _ in wanted],
    )
