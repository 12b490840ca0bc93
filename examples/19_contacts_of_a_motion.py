"""A motion of two people goes to two others, taller and shorter, and their contacts with it.

Copied poses alone leave hands in the air or in the other's chest. `what_touches` says frame by frame which
regions of the first two touch, `retarget_contacts` poses the others so that theirs do. FILE holds captured
moments of two people (see `apu_losses.synthetic.measured_scenes`); without it a drawn handshake is taken.

    python examples/19_contacts_of_a_motion.py [OUT [FILE TRIAL]]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import apu_contacts as ac
import apu_losses as al
from apu_losses.fitting import RetargetedPair, retarget_contacts
from apu_losses.synthetic import TruthScene, load_truth_scenes, measured_scenes
from apu_losses.viz import Mesh, write_glb

COLORS = ((0.85, 0.45, 0.25), (0.25, 0.5, 0.8))
TALLER = torch.eye(10)[:1] * 2.0  # the first coefficient is stature, 6 cm each


def main(frames: Sequence[TruthScene], out: str | Path, effort: float = 1.0) -> RetargetedPair:
    """Return the two others, and write the first frame of theirs and of the copied poses."""
    body, regions = al.load_body(), ac.RegionMap.load("free")
    touching = [
        al.what_touches(*map(torch.tensor, frame.vertices), regions, faces=body.faces).contacts
        for frame in frames
    ]
    copied = [
        {
            name: torch.tensor(np.stack([frame.parameters[name][k] for frame in frames]))
            for name in frames[0].parameters
        }
        for k in (0, 1)
    ]
    for person, change in zip(copied, (TALLER, -TALLER), strict=True):
        person["betas"] = person["betas"] + change
    pair = retarget_contacts(
        touching, body, copied[0], body, copied[1], over="pairs", smooth=10.0, effort=effort
    )

    def coloured(vertices: torch.Tensor, k: int) -> Mesh:
        return Mesh(vertices.numpy(), body.faces.numpy(), np.array(COLORS[k]), "ab"[k])

    meshes = {
        "copied": [body.pose(person).vertices()[0] for person in copied],
        "touching": [pair.vertices_a[0], pair.vertices_b[0]],
    }
    for name, people in meshes.items():
        write_glb(Path(out) / f"{name}.glb", [coloured(people[k], k) for k in (0, 1)])
    for said, apart, depth in (
        ("copied poses", pair.apart_before, pair.depth_before),
        ("after", pair.apart, pair.depth),
    ):
        print(f"{said}: contacts {100 * apart.mean():.1f} cm apart, {100 * depth.max():.1f} cm deep at most")
    return pair


if __name__ == "__main__":
    if len(sys.argv) > 3:
        moments = measured_scenes(sys.argv[2], couple=True) + measured_scenes(sys.argv[2], couple=False)
        chosen = [moment for moment in moments if moment.interaction == sys.argv[3]]
    else:
        chosen = list(load_truth_scenes("development", interactions=["handshake"], per_type=1))
    main(chosen, sys.argv[1] if len(sys.argv) > 1 else "apu_retargeted")
