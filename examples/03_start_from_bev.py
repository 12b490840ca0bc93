"""A fit that starts from BEV, as the paper's does.

You ran OpenPose and BEV on a photograph, and know (from an annotation, or from `apu ask`) that somebody's
hand lies on somebody's shoulder. The folder holds openpose.json, bev.npz and image.png.

    python examples/03_start_from_bev.py FOLDER OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import apu_contacts as ac
import apu_losses as al
from apu_contacts.images import picture_size
from apu_losses.fitting import SceneContact, scene_from_detections


def main(folder: str | Path, out: str | Path, preset: str | al.Preset = "best") -> al.FitResult:
    """Return the fit of the pair that stands closest; its parameters and its record lie at ``out``."""
    folder = Path(folder)
    width, height = picture_size(folder / "image.png")

    # --- who is who in the two files; whoever is missing in one is named with the reason ---
    people = ac.assemble_people(
        openpose=ac.read_openpose(folder / "openpose.json"), bev=ac.read_bev(folder / "bev.npz")
    )
    for lost in people.unmatched:
        print(lost)

    # --- which two may be touching ---
    proposal = ac.propose_pairs(people)
    print(proposal.counts())
    pair = proposal.candidates[0]

    # --- what touches, and the fit ---
    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])
    two = [people[pair.person_a], people[pair.person_b]]
    edge = SceneContact(0, 1, touching, order="either")  # whose hand it is, the fit finds out
    scene = scene_from_detections(two, width, height, [edge], name=folder.name)
    (result,) = al.SceneFitter(al.load_body("free"), preset=preset).fit([scene])
    result.save(out)
    before, after = (max(metrics.keypoint_error) for metrics in (result.before, result.after))
    print(f"keypoint error {after:.1f} px, was {before:.1f} px")
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
