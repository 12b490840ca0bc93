"""Draw two people from a prior, and fit a scene with it where nobody said who touches whom.

python examples/17_a_prior_of_two_people.py
"""

from __future__ import annotations

import torch

import apu_losses as al
from apu_losses.fitting import scene_from_detections
from apu_losses.prior import bodies_of, load_prior
from apu_losses.synthetic import load_truth_scenes, observe


def main() -> tuple[float, float]:
    """Return how far apart the two people's pelves are, in metres, before and after."""
    prior, body = load_prior("free"), al.load_body()
    drawn = prior.sample(1, torch.Generator().manual_seed(0))
    vertices = body.pose(bodies_of(prior.layout, drawn, body)).vertices()
    print(f"drawn out of nothing: two bodies of {vertices.shape[1]} vertices")

    # --- a scene without contacts ---
    seen = observe(load_truth_scenes("held_out", interactions=["dance"], per_type=1)[0])
    scene = scene_from_detections(seen.detections, seen.view.width, seen.view.height, body=body)

    # --- the prior beside the keypoints ---
    (result,) = al.SceneFitter(body, preset="prior").fit([scene])
    before, after = (
        float(torch.tensor(p["transl"][1] - p["transl"][0]).norm()) for p in (result.start, result.parameters)
    )
    print(f"{before:.2f} m apart before, {after:.2f} m after {result.iterations} iterations")
    return before, after


if __name__ == "__main__":
    main()
