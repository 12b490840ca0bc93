"""Make the scene of `apu demo`: two people side by side, an arm around shoulders, an arm around a waist.

The truth is posed by hand and settled so that the bodies touch where they should without sharing space; the
detections are its projected keypoints with fixed noise; the start of the fit is the truth, disturbed until
nothing touches. Run again when the free body changes: `python tools/build_demo_scene.py [--pictures FOLDER]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from apu_contacts.camera import Camera
from apu_contacts.contacts import ContactMap
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.regions import RegionMap, region
from apu_losses.app.demo import SCENE_FILE
from apu_losses.bodies import LinearBlendBody, load_body
from apu_losses.fitting import InitialBody, Scene, SceneContact, ScenePerson
from apu_losses.fitting.scene.file import save_scene
from apu_losses.functional.penetration import penetration_energy, select_penetrations
from apu_losses.functional.penetration_selection import penetration_points
from apu_losses.viz import VIEWS, contact_heat, montage, orbit, overlay, people_meshes, render_meshes
from apu_losses.viz.raster import rasterize

WIDTH, HEIGHT = 640, 720
SKELETON = "body25"
NOISE_PIXELS = 2.0
SEED = 2026
FLOOR = 0.95
"""Height of the ground under the camera, metres."""

Angles = dict[str, tuple[float, float, float]]

# Degrees about X (forward bend), Y (turn left), Z (of the body's own frame) of each joint.
LEFT_PERSON: Angles = {
    "left_collar": (0, 6, 10),
    "left_shoulder": (0, 8, 8),
    "left_elbow": (0, -62, -44),
    "left_wrist": (0, -18, -18),
    "right_shoulder": (0, -12, 68),
    "right_elbow": (0, 14, 6),
    "spine2": (0, 0, -3),
    "head": (0, 8, -4),
    "left_hip": (0, 0, -4),
    "right_hip": (0, 0, 5),
}
RIGHT_PERSON: Angles = {
    "right_collar": (0, -6, 0),
    "right_shoulder": (0, -58, 44),
    "right_elbow": (0, 52, 6),
    "right_wrist": (0, 12, 0),
    "left_shoulder": (0, 10, -68),
    "left_elbow": (0, -16, -4),
    "spine2": (0, 0, 4),
    "head": (0, -10, 5),
    "left_hip": (0, 0, -5),
    "right_hip": (0, 0, 4),
}
# Regions that touch: of the person on the left of the picture, of the one on the right.
CONTACTS = (
    ("left fingers (palm side)", "left front upper arm"),
    ("left front forearm", "left back shoulder"),
    ("left lower back", "right fingers (palm side)"),
)
"""Names are the people's own left and right."""


def rotation_vectors(angles: Angles, joint_names: tuple[str, ...]) -> np.ndarray:
    """``(63,)`` body pose of degrees about X, then Y, then Z; ``joint_names`` of the body, root first."""
    pose = np.zeros((21, 3))
    for name, xyz in angles.items():
        pose[joint_names.index(name) - 1] = Rotation.from_euler("xyz", xyz, degrees=True).as_rotvec()
    return pose.ravel()


def hand_posed(body: LinearBlendBody) -> dict[str, Tensor]:
    """Return the two people before they are settled: upright, facing the camera, one a little taller."""
    betas = np.zeros((2, 10))
    betas[0, 0], betas[1, 0] = 0.5, -0.4  # 5 cm taller and 4 cm shorter than the mean
    turned = [rotation_towards_camera(12), rotation_towards_camera(-10)]
    arrays = {
        "body_pose": np.stack([rotation_vectors(a, body.joint_names) for a in (LEFT_PERSON, RIGHT_PERSON)]),
        "global_orient": np.stack(turned),
        "betas": betas,
        # the hand that lies on the other's body is less curled than a hand at rest
        "left_hand_pose": np.stack([-0.6 * body.data.left_hand.mean, np.zeros(45)]),
        "right_hand_pose": np.stack([np.zeros(45), -0.6 * body.data.right_hand.mean]),
        "transl": np.array([[-0.20, 0.0, 3.05], [0.215, 0.0, 2.94]]),
    }
    params = {name: torch.tensor(value, dtype=torch.float32) for name, value in arrays.items()}
    soles = body.pose(params).vertices()[:, :, 1].amax(1)  # +Y is down
    params["transl"][:, 1] = FLOOR - soles
    return params


def rotation_towards_camera(yaw: float) -> np.ndarray:
    """``(3,)`` orientation of a person who faces the camera, turned ``yaw`` degrees to their own left."""
    return (
        Rotation.from_euler("x", 180, degrees=True) * Rotation.from_euler("y", yaw, degrees=True)
    ).as_rotvec()


def on_arms(body: LinearBlendBody) -> np.ndarray:
    """``(63,)`` bool: which values of the body pose turn joints of the arms."""
    arms = ("collar", "shoulder", "elbow", "wrist")
    return np.repeat([name.endswith(arms) for name in body.joint_names[1:22]], 3)


def settle(
    body: LinearBlendBody, regions: RegionMap, start: dict[str, Tensor], steps: int
) -> dict[str, Tensor]:
    """Move arms and places a little until the contact regions touch and the bodies share no space."""
    params = {name: value.clone() for name, value in start.items()}
    free = [params[name].requires_grad_() for name in ("body_pose", "transl", "global_orient")]
    optimiser = torch.optim.Adam(free, lr=0.006)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    pairs = [
        (torch.tensor(regions.vertices(region(a).id)), torch.tensor(regions.vertices(region(b).id)))
        for a, b in CONTACTS
    ]
    # arms find their place; backs and legs stay as they were posed
    stiffness = torch.tensor(np.where(on_arms(body), 1.0, 6.0), dtype=torch.float32)
    rows_a, rows_b = torch.tensor([0]), torch.tensor([1])
    for step in range(steps):
        posed = body.pose(params)
        vertices = posed.vertices()
        loss = vertices.new_zeros(())
        for ids_a, ids_b in pairs:
            nearest = torch.cdist(vertices[0, ids_a], vertices[1, ids_b]).min()
            loss = loss + 1e5 * (nearest - 0.002) ** 2
        change = (params["body_pose"] - start["body_pose"]) * stiffness
        moved = params["transl"] - start["transl"]
        turned = params["global_orient"] - start["global_orient"]
        # people stand on one floor: moving up or down costs more
        loss = loss + 0.5 * change.square().sum() + (moved.square() @ torch.tensor([50.0, 5e3, 50.0])).sum()
        loss = loss + 20 * turned.square().sum()
        if step > steps // 4:
            found = select_penetrations(vertices, body.faces, rows_a, rows_b, target="surface")
            points, targets = penetration_points(vertices, found)
            loss = loss + 1e4 * penetration_energy(points, targets, found).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return {name: value.detach() for name, value in params.items()}


def detect(
    body: LinearBlendBody, params: dict[str, Tensor], camera: Camera, rng: np.random.Generator
) -> list[Keypoints2D]:
    """Keypoints as a detector would see them: noisy, and unsure where somebody stands in front of them."""
    posed = body.pose(params)
    points = body.keypoints(posed, SKELETON).numpy().astype(float)
    vertices = posed.vertices().numpy().astype(float)
    has = body.keypoint_mask(SKELETON).numpy()
    focal, center = np.full(2, camera.focal), np.array(camera.center)
    keypoints = []
    for person in range(2):
        seen = rasterize(vertices[1 - person], body.faces.numpy(), focal, center, WIDTH, HEIGHT)
        depth = np.full((HEIGHT, WIDTH), np.inf)
        depth[seen.row, seen.column] = seen.depth
        xy = points[person, :, :2] / points[person, :, 2:] * focal + center
        column, row = np.clip(xy.astype(int), 0, [WIDTH - 1, HEIGHT - 1]).T
        hidden = depth[row, column] < points[person, :, 2]
        xy = xy + rng.normal(0, NOISE_PIXELS, xy.shape) * np.where(hidden, 3.0, 1.0)[:, None]
        confidence = np.where(hidden, 0.35, 0.9) * has
        keypoints.append(Keypoints2D(SKELETON, np.where(has[:, None], xy, 0.0), confidence))
    return keypoints


def disturb(
    body: LinearBlendBody, params: dict[str, Tensor], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return a start as an estimator gives it: every joint a few degrees off, each person at a wrong
    depth.
    """
    start = {name: value.numpy().astype(float).copy() for name, value in params.items()}
    start["body_pose"] += rng.normal(0, 1, start["body_pose"].shape) * np.where(on_arms(body), 0.12, 0.05)
    scale = np.array([1.05, 0.94])[:, None]
    start["transl"] = start["transl"] * scale
    start["betas"] *= 0.0
    return start


def make_scene(body: LinearBlendBody, regions: RegionMap, steps: int) -> tuple[Scene, dict[str, Tensor]]:
    """Return the scene, and the truth behind it."""
    rng = np.random.default_rng(SEED)
    truth = settle(body, regions, hand_posed(body), steps)
    camera = Camera(940.0, (WIDTH / 2, HEIGHT / 2))
    keypoints = detect(body, truth, camera, rng)
    start = disturb(body, truth, rng)
    pairs = [(region(a).id, region(b).id) for a, b in CONTACTS]
    people = [
        ScenePerson(keypoints[i], InitialBody({name: value[i] for name, value in start.items()}), label)
        for i, label in enumerate(("left person", "right person"))
    ]
    return Scene(WIDTH, HEIGHT, people, [SceneContact(0, 1, ContactMap(pairs))], camera, "side_hug"), truth


def picture(body: LinearBlendBody, params: dict[str, Tensor], scene: Scene) -> np.ndarray:
    """Front, left, back, top and contact heat of two posed people."""
    meshes = people_meshes(body.pose(params).vertices().numpy(), body.faces.numpy())
    size = (WIDTH, HEIGHT)
    shots = [overlay(None, meshes, scene.camera, size=size, keypoints=[p.keypoints for p in scene.people])]
    for view in ("left", "back", "top"):
        shots.append(render_meshes(*orbit(meshes, *VIEWS[view], size), size))
    shots.append(render_meshes(*orbit(contact_heat(meshes, reach=0.05), 180, 20, size), size))
    return montage(shots, ["photo", "left", "back", "top", "heat from behind"], columns=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the truth and the start")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--body", default="free")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "apu_losses" / "app" / "demo" / SCENE_FILE
    )
    parser.add_argument("--check", action="store_true", help="few steps, and nothing is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.check:
        options.steps = 2
    body, regions = load_body(options.body), RegionMap.load("free")
    scene, truth = make_scene(body, regions, options.steps)
    if not options.check:
        save_scene(scene, options.out)
    report(body, regions, truth)
    if options.pictures:
        from PIL import Image

        options.pictures.mkdir(parents=True, exist_ok=True)
        start = {
            name: torch.tensor(
                np.stack([p.initial.parameters[name] for p in scene.people]), dtype=torch.float32
            )
            for name in truth
        }
        for name, params in (("truth", truth), ("start", start)):
            Image.fromarray(picture(body, params, scene)).save(options.pictures / f"{name}.png")


def report(body: LinearBlendBody, regions: RegionMap, truth: dict[str, Tensor]) -> None:
    """Print how well the truth touches and how much it penetrates."""
    vertices = body.pose(truth).vertices()
    for a, b in CONTACTS:
        ids = [torch.tensor(regions.vertices(region(name).id)) for name in (a, b)]
        nearest = torch.cdist(vertices[0, ids[0]], vertices[1, ids[1]]).min()
        print(f"{a} - {b}: {1000 * float(nearest):.1f} mm")
    found = select_penetrations(vertices, body.faces, torch.tensor([0]), torch.tensor([1]))
    points, targets = penetration_points(vertices, found)
    depth = (points - targets).norm(dim=-1)
    print(f"{len(found)} vertices inside, deepest {1000 * float(depth.max()) if len(found) else 0:.1f} mm")


if __name__ == "__main__":
    main()
