"""A fit without any estimator: 2D keypoints are all that is known of the people.

The folder holds openpose.json (or any other keypoints) and image.png of two people who shake hands.

    python examples/14_start_from_keypoints.py FOLDER OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import apu_contacts as ac
import apu_losses as al
from apu_contacts.images import picture_size
from apu_losses.fitting import (
    Scene,
    SceneContact,
    ScenePerson,
    fit_from_starts,
    start_from_keypoints,
)


def main(
    folder: str | Path, out: str | Path, preset: str | al.Preset = "best", tries: int = 4
) -> al.FitResult:
    """Return the fit of the first two people, from the best of several starts."""
    folder = Path(folder)
    width, height = picture_size(folder / "image.png")
    camera = ac.Camera.from_image_size(width, height)
    keypoints = ac.read_openpose(folder / "openpose.json")[:2]
    fitter = al.SceneFitter(preset=preset)

    starts = start_from_keypoints(keypoints, camera, fitter.body)
    for number, start in enumerate(starts):
        shares = ", ".join(f"{hypothesis.share:.0%}" for hypothesis in start.hypotheses)
        print(f"person {number}: {shares}; depth to {start.depth_sigma:.2f} m", *start.notes)

    shake = ac.ContactMap.from_parts([ac.PartContact("hand", "right", "hand", "right")])
    people = [ScenePerson(k, s.initial()) for k, s in zip(keypoints, starts, strict=True)]
    scene = Scene(width, height, people, [SceneContact(0, 1, shake)], camera)
    result = fit_from_starts(fitter, scene, starts, tries)
    print(result.notes[-1])
    result.save(out)
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
