"""Contact between meshes of which only the posed vertices are known, as SAM 3D Body (MHR) gives them.

No parameters, no skinning: each person is turned a little about its middle and moved until the surfaces
touch and do not cross. Monocular estimates are mostly wrong in depth, and that is what this mends. Meshes may
have any topology that there is a region map for (`RegionMap.transfer` makes one); here it is the free body's.

    python examples/08_refine_posed_vertices.py
"""

from __future__ import annotations

import torch

import apu_contacts as ac
import apu_losses as al
from apu_losses.bodies import PosedMeshBody


def main(iterations: int = 80) -> tuple[float, float, float]:
    """Return the gap before and after and how far anybody moved across the line of sight, centimetres."""
    # --- what an estimator gave: vertices (2, V, 3) in metres in the camera frame, and faces ---
    free = al.load_body("free")
    places = torch.tensor([[-0.6, 0.3, 4.0], [0.6, 0.3, 4.5]])  # half a metre apart in depth, wrongly
    upright = torch.tensor([[torch.pi, 0.0, 0.0]])
    vertices = free.pose({"global_orient": upright, "transl": places}).vertices()

    meshes = PosedMeshBody(vertices, free.faces)
    turn = torch.zeros(2, 3, requires_grad=True)
    move = torch.zeros(2, 3, requires_grad=True)
    sight = vertices.mean(1) / vertices.mean(1).norm(
        dim=1, keepdim=True
    )  # direction of either from the camera

    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "hand", "right")])
    contact = al.SoftContactLoss(ac.RegionMap.load("free"), over="parts")
    penetration = al.PenetrationLoss(free.faces, template=vertices[0])
    optimiser = torch.optim.Adam([turn, move], lr=0.01)
    gaps = []
    for _ in range(iterations):
        a, b = meshes.pose({"global_orient": turn, "transl": move}).vertices()[:, None]
        across = move - (move * sight).sum(1, keepdim=True) * sight  # what the picture would see
        touch, cross = contact(a, b, touching), penetration(a, b)
        loss = 1e4 * touch.sum() + 1e2 * cross.sum() + 20 * turn.square().sum() + 1e4 * across.square().sum()
        optimiser.zero_grad()
        (loss + 10 * move.square().sum()).backward()
        optimiser.step()
        gaps.append(100 * touch.item() ** 0.5)
    sideways = 100 * across.norm(dim=1).max().item()
    print(f"gap {gaps[0]:.1f} cm before, {gaps[-1]:.1f} cm after; {sideways:.1f} cm off in the picture")
    return gaps[0], gaps[-1], sideways


if __name__ == "__main__":
    main()
