"""A term of your own in our fitter.

A term is a function of the fit's state that returns one number for each scene. The state offers joints,
vertices, parameters, keypoints and where the fit started, with gradients; `per_scene` sums up what belongs to
a scene. Here: two people walk side by side, so they are equally far from the camera, which keypoints of one
picture hardly tell. The five lines that it takes are numbered.

    python examples/02_your_term_in_our_fitter.py
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

import apu_contacts as ac
import apu_losses as al


def side_by_side(state: al.FitState) -> Tensor:  # 1
    depth = state.joints[:, 0, 2]  # 2: (N,) the pelvis of each person, metres from the camera
    between = depth[state.batch.pair_a] - depth[state.batch.pair_b]  # 3: every two people of a scene
    return state.batch.per_scene(between.square(), state.batch.pair_scene)  # 4


def main() -> tuple[float, float]:
    """Return how far apart in depth the two are, in metres, before and after."""
    # --- a scene: two people who face the camera, the second half a metre further away ---
    nothing_seen = ac.Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25))
    starts = [{"global_orient": [np.pi, 0, 0], "transl": [x, 0.3, z]} for x, z in ((-0.4, 3.0), (0.4, 3.5))]
    people = [al.ScenePerson(nothing_seen, al.InitialBody(start)) for start in starts]
    scene = al.Scene(640, 480, people, name="two people")

    # --- one of our presets, with your term in it ---
    preset = al.load_preset("best").without("contact", "penetration").weighted(side_by_side=1000.0)
    fitter = al.SceneFitter("free", preset=preset, terms={"side_by_side": side_by_side})  # 5
    (result,) = fitter.fit([scene])

    before, after = (float(np.ptp(p["transl"][:, 2])) for p in (result.start, result.parameters))
    print(f"{before:.2f} m apart in depth before, {after:.2f} m after {result.iterations} iterations")
    return before, after


if __name__ == "__main__":
    main()
