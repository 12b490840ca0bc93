"""Pictures of the synthetic scenes that ship: one of every type, from two sides, for the documentation.

`python tools/render_truth_gallery.py` writes `docs/images/synthetic_types_*.jpg`; `--type NAME --scenes 8`
shows many scenes of one type instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from apu_losses.synthetic import INTERACTIONS, TruthScene, load_truth_body, load_truth_scenes
from apu_losses.viz import montage, orbit, people_meshes, render_meshes

OUT = Path(__file__).parents[1] / "docs" / "images"
YAWS = (55, -55)
SIZE = (210, 270)
PAGES = 3


def shots(scene: TruthScene, faces: np.ndarray) -> list[np.ndarray]:
    """Return the scene from two sides."""
    # the world has y up, pictures have y down
    meshes = people_meshes(scene.vertices.astype(float) * [1, -1, -1], faces)
    return [render_meshes(*orbit(meshes, yaw, 8, SIZE), SIZE) for yaw in YAWS]


def sheet(scenes: list[TruthScene], captions: list[str], columns: int) -> Image.Image:
    faces = load_truth_body().faces.numpy()
    pictures = [montage(shots(scene, faces), gap=0) for scene in scenes]
    return Image.fromarray(montage(pictures, captions, columns=columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--number", type=int, default=0, help="which scene of each type")
    parser.add_argument("--type", help="scenes of this type only")
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--check", action="store_true", help="one small page, and nothing is written")
    options = parser.parse_args()
    if options.check:
        scenes = load_truth_scenes("all", interactions=[next(iter(INTERACTIONS))], per_type=1)
        print("drawn:", sheet(list(scenes), [scene.name for scene in scenes], 4).size)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    if options.type:
        found = list(load_truth_scenes("all", interactions=[options.type], per_type=options.scenes))
        path = options.out / f"{options.type.replace(' ', '_')}.jpg"
        sheet(found, [scene.name for scene in found], 4).save(path, quality=85)
        print(path)
        return
    every = load_truth_scenes("all", per_type=options.number + 1)
    by_type = {scene.interaction: scene for scene in every}
    names = [name for name in INTERACTIONS if name in by_type]
    for page, part in enumerate(np.array_split(np.array(names), PAGES)):
        path = options.out / f"synthetic_types_{page + 1}.jpg"
        sheet([by_type[name] for name in part.tolist()], part.tolist(), 4).save(
            path, quality=82, optimize=True
        )
        print(path, f"{path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
