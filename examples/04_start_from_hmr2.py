"""A fit that starts from HMR2 (4DHumans), or whatever has its output: SMPL from a crop.

HMR2's people stand tens of metres away, because it assumes a long focal length. They are moved to the scene's
camera, where they keep their place and size in the picture; nothing has to be converted by hand. In your own
HMR2 script the line that saves its output is

    np.savez("hmr2.npz", pred_cam_t_full=pred_cam_t_full, scaled_focal_length=scaled_focal_length,
             pred_keypoints_3d=out["pred_keypoints_3d"], **out["pred_smpl_params"])

with tensors on the CPU. The keypoints come from rtmlib here:

    np.savez("keypoints.npz", keypoints=keypoints, scores=scores)

    python examples/04_start_from_hmr2.py FOLDER OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import apu_contacts as ac
import apu_losses as al
from apu_contacts.images import picture_size
from apu_contacts.sources import read_hmr2, read_keypoint_arrays
from apu_losses.fitting import SceneContact, scene_from_detections


def main(folder: str | Path, out: str | Path, preset: str | al.Preset = "best") -> al.FitResult:
    """Return the fit of two people; its parameters and its record lie at ``out``."""
    folder = Path(folder)
    size = picture_size(folder / "image.png")

    estimates = read_hmr2(folder / "hmr2.npz", size)
    print("as HMR2 has them:", *(f"{e.joints[:, 2].mean():.1f} m away" for e in estimates))
    people = ac.assemble_people(vitpose=read_keypoint_arrays(folder / "keypoints.npz"), estimates=estimates)

    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])
    edge = SceneContact(0, 1, touching, order="either")
    scene = scene_from_detections(people[:2], *size, [edge], name=folder.name)
    (result,) = al.SceneFitter(al.load_body("free"), preset=preset).fit([scene])
    result.save(out)
    print("fitted:", *(f"{z:.1f} m away" for z in result.parameters["transl"][:, 2]))
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
