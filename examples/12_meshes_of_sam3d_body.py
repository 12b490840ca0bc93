"""Contact between the meshes of SAM 3D Body (MHR) without its parameters: people only move.

What `process_one_image` returns is saved as it is, `pickle.dump(outputs, stream)`, and once for all pictures
`np.save("faces.npy", estimator.faces)`. The 75 regions of the mesh are found the first time, and kept.

    python examples/12_meshes_of_sam3d_body.py FOLDER OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import apu_contacts as ac
import apu_losses as al
from apu_contacts.images import picture_size
from apu_contacts.sources import read_sam3d_body
from apu_losses.bodies import PosedMeshBody
from apu_losses.fitting import (
    InitialBody,
    Scene,
    SceneContact,
    ScenePerson,
    posed_mesh_regions,
)


def main(folder: str | Path, out: str | Path, preset: str | al.Preset = "best") -> al.FitResult:
    """Return the fit of two people; where they went and its record lie at ``out``."""
    folder = Path(folder)
    width, height = picture_size(folder / "image.png")
    estimates = read_sam3d_body(folder / "sam3d.pkl", (width, height))
    meshes = PosedMeshBody.from_estimates(estimates, np.load(folder / "faces.npy"))

    # --- the regions of MHR's mesh: the same for every picture ---
    kept = folder / "mhr_regions.npz"
    if not kept.exists():
        posed_mesh_regions(meshes).regions.save(kept)
    regions = ac.RegionMap.load(kept)
    print(regions.kind, "-", regions.provenance)

    # --- what touches; the points that SAM 3D Body found hold everybody in the picture ---
    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])
    people = [ScenePerson(e.projected, InitialBody({"mesh": [k]})) for k, e in enumerate(estimates[:2])]
    camera = estimates[0].camera
    edge = SceneContact(0, 1, touching, order="either")
    scene = Scene(width, height, people, [edge], camera, folder.name)
    (result,) = al.SceneFitter(meshes, regions=regions, preset=preset).fit([scene])
    result.save(out)
    before, after = (100 * min(metrics.contact_distance) for metrics in (result.before, result.after))
    print(f"{after:.1f} cm apart, were {before:.1f} cm")
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
