"""Contact and penetration in the training step of a regressor, compiled.

A network predicts the pose of two people from features. Its loss is the usual one on joints, plus contact
and penetration of what it predicts, for a batch of pairs with different contact maps. The maps of a batch
are laid out once, outside of compiled code (a data loader can do it); the losses then compile without a
graph break.

    python examples/09_train_a_regressor.py [BACKEND]
"""

from __future__ import annotations

import sys

import torch
from torch import nn

import apu_contacts as ac
import apu_losses as al

PARTS = ("shoulder", "back", "chest", "upper arm")


def main(steps: int = 30, pairs: int = 4, backend: str = "aot_eager") -> list[float]:
    """Return the loss of each step. ``backend``: "inductor" is faster and needs a C++ compiler."""
    generator = torch.manual_seed(0)
    body = al.load_body("free")
    with torch.no_grad():
        template = body.pose({"transl": torch.zeros(1, 3)}).vertices()[0]
    contact = al.SoftContactLoss(ac.RegionMap.load("free"), over="parts", template=template)
    penetration = al.PenetrationLoss(body.faces, template=template)

    # --- your data: features, joints, and who touches whom where ---
    features = torch.randn(pairs, 32, generator=generator)
    truth = 0.2 * torch.randn(2 * pairs, 63, generator=generator)
    places = torch.tensor([[-0.25, 0.0, 0.0], [0.25, 0.0, 0.0]]).repeat_interleave(pairs, 0)
    joints = body.pose({"body_pose": truth, "transl": places}).joints
    maps = [ac.ContactMap.from_parts([ac.PartContact("hand", "left", p, "right")]) for p in PARTS[:pairs]]
    edges = contact.edges(maps)

    @torch.compile(backend=backend, fullgraph=True)
    def losses(vertices: torch.Tensor, predicted: torch.Tensor, joints: torch.Tensor) -> torch.Tensor:
        a, b = vertices[:pairs], vertices[pairs:]
        ours = (1e3 * contact(a, b, edges) + 10 * penetration(a, b)).mean()
        return ours + 100 * (predicted - joints).square().sum(-1).mean()

    network = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2 * 63))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    history = []
    for _ in range(steps):
        pose = 0.3 * network(features).reshape(pairs, 2, 63).transpose(0, 1).reshape(2 * pairs, 63)
        posed = body.pose({"body_pose": pose, "transl": places})
        optimiser.zero_grad()
        history.append(losses(posed.vertices(), posed.joints, joints))
        history[-1].backward()
        optimiser.step()
    print(f"loss {history[0]:.1f} in the first step, {history[-1]:.1f} in the last")
    return [loss.item() for loss in history]


if __name__ == "__main__":
    main(backend=(sys.argv[1:] or ["aot_eager"])[0])
