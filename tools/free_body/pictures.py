"""Draws the pictures of docs/free_body.md: `python -m tools.free_body.pictures`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from .build import DEFAULT_OUT
from .pose import POSES, pose_asset
from .render import look_from, render, sheet
from .rig import JOINT, JOINT_NAMES
from .surface import surface_points

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
AGES = (0.0, 0.2, 0.4, 0.55, 0.7, 0.85, 1.0)


class Studio:
    """The asset and a camera that keeps feet on one line."""

    def __init__(self, asset: dict[str, np.ndarray]) -> None:
        self.asset, self.faces = asset, asset["f"].astype(int)

    def standing(
        self,
        azimuth: float,
        height: float,
        size: tuple[int, int],
        pose: str = "arms down",
        correct: bool = True,
        betas: tuple[float, ...] = (),
        age: float = 0.0,
    ) -> np.ndarray:
        """Return a whole body; `height` metres fill the picture."""
        vertices, _ = pose_asset(self.asset, POSES[pose], betas, age, correct)
        center = (vertices.min(0) + vertices.max(0)) / 2
        center[1] = vertices[:, 1].min() + height / 2 - 0.03 * height
        return render(vertices, self.faces, look_from(azimuth, 4), center, height, size)

    def close(
        self, pose: str, joint: str, azimuth: float, width: float, age: float, correct: bool
    ) -> np.ndarray:
        """Return a joint from near."""
        vertices, joints = pose_asset(self.asset, POSES[pose], (), age, correct)
        return render(vertices, self.faces, look_from(azimuth, 10), joints[JOINT[joint]], width, (230, 190))

    def hand(self, pose: np.ndarray, view: np.ndarray) -> np.ndarray:
        """Return the left hand in a pose `(45,)`."""
        degrees = np.degrees(pose.reshape(15, 3))
        named = {JOINT_NAMES[25 + i]: tuple(map(float, degrees[i])) for i in range(15)}
        vertices, joints = pose_asset(self.asset, named)  # type: ignore[arg-type]
        center = joints[JOINT["left_middle1"]] + [0.02, -0.02, 0]
        return render(vertices, self.faces, view, center, 0.24, (220, 220))


def draw(asset: dict[str, np.ndarray], folder: Path) -> None:
    """All pictures."""
    studio = Studio(asset)
    unit = [tuple(s * float(k == i) for k in range(10)) for s in (-2.0, 2.0) for i in range(6)]
    sheet(
        [[studio.standing(az, 1.85, (290, 150), age=a) for a in AGES] for az in (0, 80)],
        folder / "free_body_ages.png",
    )
    sheet(
        [[studio.standing(25, 2.05, (290, 170), betas=b) for b in unit[i : i + 6]] for i in (0, 6)],
        folder / "free_body_shapes.png",
    )
    poses = ("T", "arms up", "hug", "sit", "kneel")
    sheet(
        [
            [
                studio.standing(az, 2.15 if age == 0 else 1.45, (260, 250 if az == 0 else 200), p, age=age)
                for p in poses
                for az in (0, 75)
            ]
            for age in (0.0, 0.55)
        ],
        folder / "free_body_poses.png",
    )
    bends = [
        ("arms down", "left_shoulder", 150),
        ("arms up", "left_shoulder", 20),
        ("elbows 120", "left_elbow", 60),
    ]
    bends += [("knees 120", "left_knee", 70), ("sit", "left_hip", 110)]
    rows = [(0.0, False, 0.62), (0.0, True, 0.62), (0.55, True, 0.4)]
    sheet(
        [[studio.close(p, j, az, width, age, correct) for p, j, az in bends] for age, correct, width in rows],
        folder / "free_body_bends.png",
    )
    at = asset["v_template"].astype(float)
    marks = surface_points(asset["landmark_faces"], asset["landmark_bary"], at, studio.faces)
    head = np.array([0, at[:, 1].max() - 0.135, 0.06])
    face = []
    for azimuth in (0, 45, 90):
        view = look_from(azimuth)
        face.append(render(at, studio.faces, view, head, 0.27, (420, 370), points=marks + 0.003 * view[2]))
    sheet([face], folder / "free_body_landmarks.png")
    flat, relaxed = np.zeros(45), asset["hands_meanl"]
    closing = relaxed + 2.0 * asset["hands_componentsl"][0]
    views = (look_from(0, 80), look_from(20, 5))
    sheet(
        [[studio.hand(p, v) for p in (flat, relaxed, closing) for v in views]], folder / "free_body_hands.png"
    )


def main() -> None:
    """Read the asset and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="draw into a folder that is deleted")
    check = parser.parse_args().check
    with np.load(DEFAULT_OUT) as archive, tempfile.TemporaryDirectory() as nowhere:
        folder = Path(nowhere) if check else IMAGES
        draw({k: archive[k] for k in archive.files}, folder)
        print(f"pictures of the free body drawn into {'a folder that is deleted' if check else folder}")


if __name__ == "__main__":
    main()
