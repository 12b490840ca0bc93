"""Measuring a method on a data set of your own, as the published evaluations measure on theirs.

Each frame says what is known: joints by name, a mesh, annotated contacts. A function gives the method's
people for a frame, or None where it found none. Means come with intervals, drawn recording by recording.

    python examples/13_evaluate_on_your_own_data.py
"""

from __future__ import annotations

import numpy as np

from apu_contacts import ContactMap, RegionMap
from apu_losses import evaluation as ev
from apu_losses.bodies import load_body
from apu_losses.geometry import RegionIndex
from apu_losses.synthetic import load_truth_scenes

JOINTS = ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "left_hip", "right_hip", "head")


def main(scenes: int = 4) -> ev.MethodRecords:
    """Return what was measured of each frame."""
    names, regions = load_body().joint_names, RegionMap.load("free")
    known = load_truth_scenes("held_out", per_type=1)[:scenes]
    frames = [
        ev.TruthFrame(
            key=scene.name,
            group=scene.interaction,
            cluster=scene.name,  # frames of one recording share it
            points={name: scene.joints[:, names.index(name)].astype(float) for name in JOINTS},
            contacts=ContactMap(np.array(scene.contact_regions).reshape(-1, 2)),
        )
        for scene in known
    ]
    meshes = {scene.name: scene.vertices for scene in known}

    def method(frame: ev.TruthFrame) -> ev.FittedPair:
        """Your estimates go here; these stand 5 cm too far apart."""
        off = np.array([[0.0, 0, 0], [0, 0, 0.05]])
        return ev.FittedPair({k: v + off for k, v in frame.points.items()}, meshes[frame.key] + off[:, None])

    measuring = ev.Measuring(
        ev.NamedJoints(JOINTS), "given", RegionIndex.build(regions, regions.vertex_count)
    )
    records = ev.measure_method("5 cm too far apart", ev.TruthSet("mine", frames), method, measuring)
    for metric in ("joint_none", "joint_pa", "person_pa", "contact_mm", "pcc_5"):
        found, count = ev.mean_of(records, metric)
        print(f"{ev.METRICS[metric]}: {found.mean:.1f} [{found.low:.1f}, {found.high:.1f}], {count} frames")
    return records


if __name__ == "__main__":
    main()
