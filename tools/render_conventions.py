"""Draw the conventions: pixels and whose left is whose, and the axes of the camera, for the docs.

Two free bodies stand before a camera, one facing it and one facing away. The first panel is the picture that
the camera takes, with the axes of pixels and each person's left hand in one colour; the second shows the same
people and the camera from the side.

    python tools/render_conventions.py    # writes docs/images/conventions.png
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from apu_contacts import REGIONS, Camera, RegionMap
from apu_losses.bodies import load_body
from apu_losses.viz import PERSON_COLORS, Mesh, montage, render_meshes

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "conventions.png"
SIZE = (560, 480)
CAMERA = Camera(620.0, (280.0, 240.0))
# colours of Okabe and Ito, which people who see few colours tell apart
LEFT_HAND, RIGHT_HAND, AXES = (0.90, 0.62, 0.0), (0.0, 0.45, 0.70), (40, 40, 45)
DISTANCE = 3.2  # metres from the camera to the people


def hand_colors(color: tuple[float, float, float], regions: RegionMap) -> np.ndarray:
    """Return ``(V, 3)`` colours of a body: both hands marked by their side."""
    colors = np.tile(np.asarray(color), (regions.vertex_count, 1))
    for region in REGIONS:
        if region.part == "hand":
            colors[regions.vertices(region.id)] = LEFT_HAND if region.side == "left" else RIGHT_HAND
    return colors


def people() -> list[Mesh]:
    """Return the person on the left of the picture, who faces the camera, and the one who turns away."""
    body, regions = load_body(), RegionMap.load("free")
    pose = torch.zeros(2, 3 * len(body.body_pose_joints))
    shoulder = 3 * (body.joint_names.index("left_shoulder") - 1)
    pose[:, shoulder + 2], pose[:, shoulder + 5] = -0.9, 0.9  # arms half down
    # turned by 180 degrees about x: upright before a camera whose y points down, facing it; the other one
    # is turned about the vertical, too
    orient = torch.tensor([[math.pi, 0.0, 0.0], [0.0, 0.0, math.pi]])
    transl = torch.tensor([[-0.62, 0.16, DISTANCE], [0.62, 0.16, DISTANCE]])
    posed = body(global_orient=orient, body_pose=pose, transl=transl).vertices().detach().numpy()
    return [
        Mesh(posed[i], body.faces.numpy(), hand_colors(PERSON_COLORS[i], regions), name)
        for i, name in enumerate(("person on the left", "person on the right"))
    ]


def arrow(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], text: str) -> None:
    """Draw an arrow, and what it means beside its head."""
    draw.line([start, end], fill=AXES, width=3)
    along = np.subtract(end, start) / math.dist(start, end)
    across = np.array([-along[1], along[0]])
    tip = np.asarray(end)
    corners = [tip + 10 * along, tip - 6 * along + 7 * across, tip - 6 * along - 7 * across]
    draw.polygon([tuple(corner) for corner in corners], fill=AXES)
    x, y = tip + 16 * along
    if abs(along[0]) > abs(along[1]):
        anchor = "lm" if along[0] > 0 else "rm"
    else:
        anchor = "mt" if along[1] > 0 else "mb"
    draw.text((x, y), text, fill=AXES, font=ImageFont.load_default(16), anchor=anchor)


def picture(meshes: list[Mesh]) -> np.ndarray:
    """Draw what the camera sees, with the axes of pixels."""
    image = Image.fromarray(render_meshes(meshes, CAMERA, SIZE))
    draw = ImageDraw.Draw(image)
    arrow(draw, (6, 6), (120, 6), "x, pixels")
    arrow(draw, (6, 6), (6, 100), "y")
    font = ImageFont.load_default(16)
    for x, text in ((160, "faces the camera"), (400, "faces away")):
        draw.text((x, SIZE[1] - 14), text, fill=AXES, font=font, anchor="mm")
    return np.asarray(image)


def from_the_side(meshes: list[Mesh]) -> np.ndarray:
    """Draw the camera, its axes and the people from the side and a little above."""
    # stand to the right of the camera and behind it, and look at the point between it and the people
    yaw, pitch, away = math.radians(-58), math.radians(16), 6.2
    turn_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    turn_x = np.array(
        [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    )
    middle = np.array([0.1, 0.1, 0.44 * DISTANCE])

    def seen(points: np.ndarray) -> np.ndarray:
        return (points - middle) @ (turn_x @ turn_y).T + [0, 0, away]

    image = Image.fromarray(render_meshes([mesh.moved(seen(mesh.vertices)) for mesh in meshes], CAMERA, SIZE))
    draw = ImageDraw.Draw(image)

    def pixel(*point: float) -> tuple[float, float]:
        x, y = CAMERA.project(seen(np.array([point]))[0])
        return float(x), float(y)

    half = 0.5  # the frustum at 0.7 m, as a thin outline
    corners = [
        pixel(sx * half * 0.63, sy * half * 0.54, 0.7) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    origin = pixel(0, 0, 0)
    for i, corner in enumerate(corners):
        draw.line([origin, corner], fill=(150, 150, 155), width=1)
        draw.line([corner, corners[(i + 1) % 4]], fill=(150, 150, 155), width=1)
    arrow(draw, origin, pixel(0.75, 0, 0), "+X right")
    arrow(draw, origin, pixel(0, 0.75, 0), "+Y down")
    arrow(draw, origin, pixel(0, 0, 1.35), "+Z forward")
    draw.text(
        (origin[0] - 12, origin[1] - 16), "camera", fill=AXES, font=ImageFont.load_default(16), anchor="rb"
    )
    return np.asarray(image)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--check", action="store_true", help="draw, and write nothing")
    arguments = parser.parse_args()
    meshes = people()
    captions = ["the picture: left hands are orange, right hands blue", "the camera's frame, in metres"]
    sheet = Image.fromarray(montage([picture(meshes), from_the_side(meshes)], captions))
    drawn = f"the picture and the camera's frame, {sheet.width} x {sheet.height} pixels"
    if arguments.check:
        print(f"drew {drawn}; nothing written")
        return
    sheet.save(arguments.out, optimize=True)
    print(f"{arguments.out}: {drawn}")


if __name__ == "__main__":
    main()
