"""Pictures of the gallery that no other program makes: `python tools/render_gallery.py [touches] [loop] ...`.

Writes `docs/images/gallery_touches.png` (what touches, before and after two meshes are taken apart) and
`gallery_loop.png` (the loop of the first example, at four of its iterations), `gallery_grip.png` (fingers
that close around a forearm).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

import apu_contacts as ac
import apu_losses as al
from apu_contacts.camera import Camera
from apu_losses import fitting
from apu_losses.viz import montage, orbit, people_meshes, render_meshes, touches_picture

OUT = Path(__file__).parents[1] / "docs" / "images"
DOWN = torch.tensor([1.0, -1.0, -1.0])
"""Bodies stand with +Y up, pictures have it down."""


def touches(check: bool) -> np.ndarray:
    """Draw two people who cross, and the same taken apart."""
    body, regions = al.load_body(), ac.RegionMap.load("free")
    turn = torch.tensor([[0.0, 0.0, 0.0], [0.0, -0.6, 0.0]])
    places = torch.tensor([[0.0, 0.0, 0.0], [0.32, 0.0, 0.08]])
    one, two = body.pose({"global_orient": turn, "transl": places}).vertices() * DOWN
    faces = body.faces
    apart = al.separate(one, two, faces)
    pictures, captions = [], []
    for name, a, b in (("before", one, two), ("taken apart", apart.verts_a, apart.verts_b)):
        a, b = (torch.as_tensor(points, dtype=torch.float32) for points in (a, b))
        found = al.what_touches(a, b, regions, faces=faces)
        picture = Image.fromarray(np.asarray(touches_picture(found, a, b, faces)))
        pictures.append(np.asarray(picture.resize((picture.width // 2, picture.height // 2))))
        captions.append(f"{name}: {100 * (found.depth or 0):.1f} cm deep")
        if check:
            break
    return montage(pictures, captions, columns=1)


def loop(check: bool) -> np.ndarray:
    """Draw the loop of `examples/01_our_term_in_your_loop.py`, seen at four of its iterations."""
    shown = (0, 1) if check else (0, 10, 25, 59)
    body = al.load_body("free")
    transl = torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.3]])
    pose = torch.zeros(2, 63, requires_grad=True)
    optimiser = torch.optim.Adam([pose], lr=0.03)
    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])
    contact = al.SoftContactLoss(ac.RegionMap.load("free"), over="parts")
    pictures, captions, size = [], [], (330, 330)
    for iteration in range(shown[-1] + 1):
        vertices = body.pose({"body_pose": pose, "transl": transl}).vertices()
        distance = contact(vertices[:1], vertices[1:], touching).sum()
        if iteration in shown:
            meshes = people_meshes((vertices.detach() * DOWN).numpy(), body.faces.numpy())
            pictures.append(render_meshes(*orbit(meshes, 25, 10, size), size))
            captions.append(f"iteration {iteration}: {100 * float(distance.detach()) ** 0.5:.1f} cm")
        optimiser.zero_grad()
        (100 * distance + 0.01 * pose.square().sum()).backward()
        optimiser.step()
    return montage(pictures, captions, columns=2)


def grip(check: bool) -> np.ndarray:
    """Draw a flat hand over a forearm, and what the last stage of `best_hands` makes of it."""
    body, regions = al.load_body("free"), ac.RegionMap.load("free")
    flat = {f"{side}_hand_pose": -getattr(body.data, f"{side}_hand").mean for side in ("left", "right")}
    ahead = np.zeros(3)
    one = {"global_orient": np.array([np.pi, 0, 0]), "body_pose": np.zeros(63), "transl": ahead, **flat}
    across = Rotation.from_euler("y", 90, degrees=True) * Rotation.from_rotvec(one["global_orient"])
    two = {**one, "global_orient": across.as_rotvec()}
    posed = body.pose({k: torch.tensor(np.stack([one[k], two[k]]), dtype=torch.float32) for k in one})
    palm = posed.vertices()[0, regions.vertices("left palm").copy()].mean(0)
    arm = posed.joints[1, [body.joint_names.index(name) for name in ("left_elbow", "left_wrist")]].mean(0)
    two["transl"] = (palm - arm).double().numpy() + np.array([0, 0.044, 0])  # the palm just on the arm
    far = np.array([0, 0, 4.0])
    people = [
        fitting.ScenePerson(
            ac.Keypoints2D("body25", np.zeros((25, 2)), np.zeros(25)),
            fitting.InitialBody({**own, "transl": own["transl"] + far}),
        )
        for own in (one, two)
    ]
    held = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "forearm", "left")])
    scene = fitting.Scene(800, 600, people, [fitting.SceneContact(0, 1, held)])
    whole = al.load_preset("best_hands")
    last = replace(whole.stages[-1], max_iterations=1 if check else 30)
    (result,) = al.SceneFitter(body, preset=replace(whole, stages=(last,))).fit([scene])
    pictures, size = [], (330, 330)
    for values in (result.start, result.parameters):
        vertices = body.pose({k: torch.tensor(v, dtype=torch.float32) for k, v in values.items()}).vertices()
        centred = (vertices - torch.tensor(far) - palm).detach().numpy()
        for turn in ((-60, 40, 0), (0, 90, 0)):
            seen = Rotation.from_euler("xyz", turn, degrees=True).apply(centred.reshape(-1, 3))
            meshes = people_meshes(seen.reshape(centred.shape) + np.array([0, 0, 0.6]), body.faces.numpy())
            pictures.append(render_meshes(meshes, Camera(720.0, (165.0, 165.0)), size))
    return montage(pictures, ["start", "", "closed", ""], columns=2)


PICTURES = {"touches": touches, "loop": loop, "grip": grip}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], help="which; all if left out")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--check", action="store_true", help="the least of each, and nothing is written")
    options = parser.parse_args()
    for name in options.names or PICTURES:
        drawn = Image.fromarray(PICTURES[name](options.check))
        path = options.out / f"gallery_{name}.png"
        if options.check:
            print(f"drew {name}: {drawn.width} x {drawn.height} pixels; nothing written")
        else:
            drawn.quantize(256).save(path, optimize=True)
            print(f"{path}: {drawn.width} x {drawn.height} pixels, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
