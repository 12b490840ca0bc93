"""One contact term in a loop that is not ours.

You have a fitter: some parameters, some loss, some optimiser; here a few lines of PyTorch that pose two
people. The contact term needs the posed vertices and a contact map, nothing else. The five lines that it
takes are numbered.

    python examples/01_our_term_in_your_loop.py
"""

from __future__ import annotations

import torch

import apu_contacts as ac  # 1
import apu_losses as al  # 2


def main(iterations: int = 60) -> tuple[float, float]:
    """Return the distance of left hand and right shoulder in centimetres, before and after."""
    # --- your fitter: any code that ends in vertices (B, V, 3), in metres ---
    body = al.load_body("free")
    transl = torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.3]])
    pose = torch.zeros(2, 63, requires_grad=True)
    optimiser = torch.optim.Adam([pose], lr=0.03)

    # --- what touches: "her left hand on his right shoulder" ---
    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])  # 3
    contact = al.SoftContactLoss(ac.RegionMap.load("free"), over="parts")  # 4

    distances = []
    for _ in range(iterations):
        vertices = body.pose({"body_pose": pose, "transl": transl}).vertices()
        yours = 0.01 * pose.square().sum()

        loss = yours + 100 * contact(vertices[:1], vertices[1:], touching).sum()  # 5

        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        distances.append(10 * (loss - yours).item() ** 0.5)  # 100 times squared metres, in centimetres
    print(f"left hand to right shoulder: {distances[0]:.1f} cm before, {distances[-1]:.1f} cm after")
    return distances[0], distances[-1]


if __name__ == "__main__":
    main()
