"""Renders the in-context example of the prompt: two free bodies that hug, and the answer that their geometry
implies.

    python tools/build_prompt_example.py

Two bodies face each other and are pulled together by the contact loss until hands lie on backs and chests
meet, with penetration pushed out. The answer is then read off the meshes: which regions lie within 1 cm of
each other, regrouped into parts. Nothing in it is written by hand but the descriptions. The picture and the
answer are package data of ``apu_contacts/asking``.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apu_contacts.answers.schema import conforms
from apu_contacts.contacts import ContactMap
from apu_contacts.keypoints.parts import MIDLINE_PARTS
from apu_contacts.regions import RegionMap
from apu_contacts.regions.table import REGIONS, region
from apu_losses.bodies import BodyModel, load_body
from apu_losses.functional.contact import soft_contact
from apu_losses.functional.penetration import penetration_loss
from apu_losses.functional.pose_prior import anatomical_pose_prior
from apu_losses.geometry.operators import contact_map_from_meshes
from apu_losses.viz.mesh import Mesh
from apu_losses.viz.render import render_meshes
from apu_losses.viz.views import orbit

DATA = Path(__file__).resolve().parents[1] / "apu_contacts" / "asking" / "data"
TOUCHING = 0.01
"""Metres within which two regions count as touching."""

COLORS = ((0.78, 0.36, 0.30), (0.30, 0.45, 0.75))
LABELS = {
    "interaction": "hugging",
    "people": {
        "person_left": "the red figure, standing and turned to the right",
        "person_right": "the blue figure, standing and turned to the left",
    },
    "orientation": "front to front",
}
# What the two are meant to do, as regions of the left person and of the right one; what they then do is
# measured.
INTENDED = (
    ("left palm", "right middle back"),
    ("right palm", "left middle back"),
    ("right upper back", "left palm"),
    ("left upper back", "right palm"),
    ("left fingers (palm side)", "right middle back"),
    ("right fingers (palm side)", "left middle back"),
    ("right upper back", "left fingers (palm side)"),
    ("left upper back", "right fingers (palm side)"),
    ("left lower chest", "right lower chest"),
    ("right lower chest", "left lower chest"),
)


def start(body: BodyModel) -> dict[str, Tensor]:
    """Two people half a metre apart who face each other with raised arms, in the OpenCV camera frame."""
    upright = torch.tensor([math.pi, 0.0, 0.0])
    orient = torch.stack([_turned(upright, -math.pi / 2), _turned(upright, math.pi / 2)])
    pose = torch.zeros(2, 21, 3)
    left, right = body.joint_names.index("left_shoulder") - 1, body.joint_names.index("right_shoulder") - 1
    elbow_left, elbow_right = (
        body.joint_names.index("left_elbow") - 1,
        body.joint_names.index("right_elbow") - 1,
    )
    for person, lift in ((0, 0.45), (1, 0.95)):
        pose[person, left] = torch.tensor([0.0, -1.05, -lift])
        pose[person, right] = torch.tensor([0.0, 1.05, lift])
        pose[person, elbow_left] = torch.tensor([0.0, -0.7, 0.0])
        pose[person, elbow_right] = torch.tensor([0.0, 0.7, 0.0])
    transl = torch.tensor([[-0.26, 0.0, 3.0], [0.26, 0.0, 3.0]])
    return {"global_orient": orient, "body_pose": pose.reshape(2, 63), "transl": transl}


def _turned(rotation: Tensor, yaw: float) -> Tensor:
    """Return the rotation followed by a turn about the vertical of the picture."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_rotvec([0.0, yaw, 0.0]) * Rotation.from_rotvec(rotation.numpy())
    return torch.tensor(turn.as_rotvec(), dtype=torch.float32)


def hug(body: BodyModel, regions: RegionMap, steps: int) -> Tensor:
    """Vertices ``(2, V, 3)`` of the two people in contact."""
    begin = start(body)
    parameters = {name: value.clone().requires_grad_() for name, value in begin.items()}
    cmap = ContactMap([(region(a).id, region(b).id) for a, b in INTENDED])
    optimizer = torch.optim.Adam(
        [
            {"params": [parameters["body_pose"]], "lr": 0.02},
            {"params": [parameters["transl"]], "lr": 0.004},
            {"params": [parameters["global_orient"]], "lr": 0.004},
        ]
    )
    for step in range(steps):
        vertices = body.pose(parameters).vertices()
        loss = 300 * soft_contact(vertices[:1], vertices[1:], cmap, regions).sum()
        loss = loss + 0.05 * anatomical_pose_prior(parameters["body_pose"]).sum()
        loss = loss + 0.15 * (parameters["body_pose"] - begin["body_pose"]).square().sum()
        loss = loss + 20 * (parameters["global_orient"] - begin["global_orient"]).square().sum()
        loss = loss + 50 * parameters["transl"][:, 1:].sub(begin["transl"][:, 1:]).square().sum()
        if step > steps // 3:
            weight = 30 if step < 3 * steps // 4 else 150
            loss = loss + weight * penetration_loss(vertices[:1], vertices[1:], body.faces).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 25 == 0:
            print(step, f"{loss.item():.3f}")
    return body.pose(parameters).vertices().detach()


def answer(vertices: Tensor, regions: RegionMap) -> dict[str, object]:
    """Return the answer that the geometry implies, in the form of the schema."""
    touching = contact_map_from_meshes(vertices[:1], vertices[1:], regions, threshold=TOUCHING)[0]
    counts: dict[tuple[str, str, str, str], int] = {}
    for a, b in torch.nonzero(touching).tolist():
        key = (REGIONS[a].part, REGIONS[a].side, REGIONS[b].part, REGIONS[b].side)
        counts[key] = counts.get(key, 0) + 1
    rows = []
    for (part_a, side_a, part_b, side_b), count in sorted(
        _merge_sides(counts).items(), key=lambda item: -item[1]
    ):
        rows.append(
            {
                "body_part_person_left": {"part_name": part_a, "body_side": side_a},
                "body_part_person_right": {"part_name": part_b, "body_side": side_b},
                "confidence": 0.9 if count > 1 else 0.7,
            }
        )
    document: dict[str, object] = {**LABELS, "contacts": rows}
    assert conforms(document)
    return document


Key = tuple[str, str, str, str]


def _merge_sides(counts: dict[Key, int]) -> dict[Key, int]:
    """Parts across the midline on both people, chest on chest: one contact of both sides instead of one per
    half.
    """
    merged: dict[Key, int] = {}
    for (part_a, side_a, part_b, side_b), count in counts.items():
        if part_a in MIDLINE_PARTS and part_b in MIDLINE_PARTS:
            side_a = side_b = "both"
        key = (part_a, side_a, part_b, side_b)
        merged[key] = merged.get(key, 0) + count
    return merged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--out", type=Path, default=DATA)
    parser.add_argument("--check", action="store_true", help="few steps, and nothing is written")
    arguments = parser.parse_args()
    if arguments.check:
        arguments.steps = 2
    body, regions = load_body(), RegionMap.load("free")
    vertices = hug(body, regions, arguments.steps)
    faces = np.asarray(body.faces)
    meshes = [
        Mesh(v, faces, color, f"person_{i}")
        for i, (v, color) in enumerate(zip(vertices.numpy(), COLORS, strict=True))
    ]
    size = (512, 640)
    turned, camera = orbit(meshes, -15.0, 8.0, size)
    picture = Image.fromarray(render_meshes(turned, camera, size))
    document = answer(vertices, regions)
    print(json.dumps(document, indent=1))
    if not arguments.check:
        arguments.out.mkdir(parents=True, exist_ok=True)
        picture.quantize(128).save(arguments.out / "example.png", optimize=True)
        (arguments.out / "example.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
