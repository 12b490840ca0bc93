"""Pictures of the gallery that no other program makes: `python tools/render_gallery.py [touches] [loop]`.

Writes `docs/images/gallery_touches.png` (what touches, before and after two meshes are taken apart) and
`gallery_loop.png` (the loop of the first example, at four of its iterations).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import apu_contacts as ac
import apu_losses as al
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


PICTURES = {"touches": touches, "loop": loop}


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
