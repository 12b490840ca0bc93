"""From a folder of photographs to meshes that touch, in one call; here with an answer in place of a server.

A server: `RunConfig().changed({"ask": {"model": "...", "base_url": "http://localhost:8000/v1"}})`.

    python examples/15_the_whole_path.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from apu_contacts.asking import ReplayModel
from apu_losses.app.demo import demo_scene
from apu_losses.generate import RunConfig, run

ANSWER = """left person's right hand on right person's back, confidence 0.9
left person's left forearm on right person's stomach, confidence 0.6"""


def main(folder: Path) -> None:
    scene, photos = demo_scene(), folder / "photos"
    photos.mkdir()
    Image.new("RGB", (scene.width, scene.height), "gray").save(photos / "hug.png")
    seen = [person.keypoints for person in scene.people]
    xy, scores = [k.xy for k in seen], [k.confidence for k in seen]
    np.savez(photos / "hug.keypoints.npz", keypoints=xy, scores=scores)  # found by its name
    done = run([photos], folder / "out", RunConfig(), model=ReplayModel(ANSWER))
    for row in done.rows():
        print(" | ".join(row))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        main(Path(work))
