"""A fit that starts from SAM 3D Body, which has no SMPL parameters.

What `process_one_image` returns is saved as it is, `pickle.dump(outputs, stream)`. Its 3D keypoints are
enough: the body is put where they are. Projected, they stand in for a detector's 2D keypoints.

    python examples/05_start_from_sam3d_body.py FOLDER OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import apu_contacts as ac
import apu_losses as al
from apu_contacts.images import picture_size
from apu_contacts.sources import read_sam3d_body
from apu_losses.fitting import SceneContact, scene_from_detections


def main(folder: str | Path, out: str | Path, preset: str | al.Preset = "best") -> al.FitResult:
    """Return the fit of two people; its parameters and its record lie at ``out``."""
    folder = Path(folder)
    size = picture_size(folder / "image.png")

    estimates = read_sam3d_body(folder / "sam3d.pkl", size)
    people = [
        ac.PersonDetection(e.projected, np.zeros(4) if e.bbox is None else e.bbox, e, {"sam3d": i})
        for i, e in enumerate(estimates)
        if e.projected is not None
    ]
    # SAM 3D Body estimates the focal length: keep its camera, and nothing has to move
    camera = estimates[0].camera

    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])
    edge = SceneContact(0, 1, touching, order="either")
    scene = scene_from_detections(people[:2], *size, [edge], name=folder.name, camera=camera)
    (result,) = al.SceneFitter(al.load_body("free"), preset=preset).fit([scene])
    result.save(out)
    before, after = (max(metrics.keypoint_error) for metrics in (result.before, result.after))
    print(f"keypoint error {after:.1f} px, was {before:.1f} px")
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
