"""A run in a process of its own, with a detector that needs no weights: who is killed is this one.

    python run_with_detector.py PHOTOS OUT CONFIG.toml LOOKED_AT

The detector finds the bundled pair in every picture, takes its time, and writes to LOOKED_AT what it
looked at.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from apu_contacts.detect import DetectedPeople
from apu_losses.app.demo import demo_scene
from apu_losses.generate.config import RunConfig
from apu_losses.generate.run import run


class PairDetector:
    """Finds the people of the demo."""

    def __init__(self, looked_at: Path) -> None:
        self.looked_at = looked_at

    def __call__(self, picture: Path, /) -> DetectedPeople:
        with self.looked_at.open("a") as file:
            file.write(f"{picture.name}\n")
        time.sleep(0.3)
        people = demo_scene().people
        xy = np.stack([person.keypoints.xy for person in people])
        scores = np.stack([person.keypoints.confidence for person in people])
        boxes = np.concatenate([xy.min(1), xy.max(1)], 1)
        with Image.open(picture) as image:
            size = image.size
        return DetectedPeople(people[0].keypoints.skeleton, xy, scores, scores, boxes, size)


if __name__ == "__main__":
    photos, out, config, looked_at = map(Path, sys.argv[1:])
    done = run([photos], out, RunConfig.load(config), detector=PairDetector(looked_at))
    sys.exit(1 if done.incomplete else 0)
