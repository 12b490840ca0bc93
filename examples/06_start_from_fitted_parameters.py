"""Add contact to people who have been fitted already: SMPL-X parameters in, SMPL-X parameters out.

parameters.npz has smplx's names (global_orient, body_pose, betas, transl), one row a person, in the camera's
frame; AMASS's, SLAHMR's and EasyMocap's names do too, and EasyMocap's translation is converted. With your own
SMPL-X file the shape and translation are taken over as they are:

    python examples/06_start_from_fitted_parameters.py FOLDER OUT SMPLX_NEUTRAL.npz

Without it the bundled body is posed like them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import apu_contacts as ac
import apu_losses as al
from apu_contacts.images import picture_size
from apu_contacts.sources import Camera, read_parameters, write_amass
from apu_losses.bodies.region_map import region_map_for
from apu_losses.fitting import SceneContact, model_of, posed_estimate, scene_from_detections


def main(
    folder: str | Path, out: str | Path, body: str = "free", preset: str | al.Preset = "best"
) -> al.FitResult:
    """Return the fit of two people; its parameters, its record and an AMASS-like file lie at ``out``."""
    folder = Path(folder)
    size = picture_size(folder / "image.png")
    model = al.load_body(body)
    camera = Camera.from_image_size(*size)

    # --- parameters only: pose a body with them, to know where in the picture they are ---
    estimates = read_parameters(folder / "parameters.npz", camera=camera)
    posed = [posed_estimate(estimate, model) for estimate in estimates]
    people = ac.assemble_people(openpose=ac.read_openpose(folder / "openpose.json"), estimates=posed)

    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])
    edge = SceneContact(0, 1, touching, order="either")
    scene = scene_from_detections(people[:2], *size, [edge], name=folder.name, body_model=model_of(model))
    (result,) = al.SceneFitter(model, regions=region_map_for(model), preset=preset).fit([scene])
    result.save(out)
    write_amass(Path(out).with_suffix(".amass.npz"), result.parameters)
    before, after = (max(metrics.keypoint_error) for metrics in (result.before, result.after))
    print(f"keypoint error {after:.1f} px, was {before:.1f} px")
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:4])
