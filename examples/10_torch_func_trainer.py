"""A trainer without a framework: `torch.func` gives the gradient of every sample by itself.

The network is called as a function of its weights (`functional_call`), the loss of one pair of people is
differentiated (`grad`) and mapped over the batch (`vmap`): posing, contact and penetration included. With a
gradient for each sample one can clip those that would drag the others along, such as a pair with an invented
contact.

    python examples/10_torch_func_trainer.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

import apu_contacts as ac
import apu_losses as al


def main(steps: int = 10, pairs: int = 4) -> list[float]:
    """Return the mean loss of each step."""
    generator = torch.manual_seed(0)
    body = al.load_body("free", backend="torch")  # plain PyTorch, which every transform goes through
    with torch.no_grad():
        template = body.pose({"transl": torch.zeros(1, 3)}).vertices()[0]
    contact = al.SoftContactLoss(ac.RegionMap.load("free"), over="parts", template=template)
    penetration = al.PenetrationLoss(body.faces, template=template)
    touching = ac.ContactMap.from_parts([ac.PartContact("hand", "left", "shoulder", "right")])
    edges = contact.edges(touching)
    features = torch.randn(pairs, 16, generator=generator)
    places = torch.tensor([[-0.3, 0.0, 0.0], [0.3, 0.0, 0.0]])

    network = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 2 * 63))
    weights = {name: value.detach() for name, value in network.named_parameters()}

    def loss_of_one(weights: dict[str, Tensor], feature: Tensor) -> Tensor:
        pose = functional_call(network, weights, (feature,)).reshape(2, 63)
        a, b = body.pose({"body_pose": pose, "transl": places}).vertices()[:, None]
        return (1e3 * contact(a, b, edges) + 10 * penetration(a, b)).sum() + pose.square().sum()

    per_sample = vmap(grad_and_value(loss_of_one), in_dims=(None, 0))
    history = []
    for _ in range(steps):
        gradients, losses = per_sample(weights, features)
        size = torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()]).sum(0).sqrt()
        clip = (10.0 / size).clamp(max=1.0)  # no sample pulls harder than 10
        for name, gradient in gradients.items():
            weights[name] = weights[name] - 3e-3 * torch.einsum("s,s...->...", clip, gradient) / pairs
        history.append(losses.mean().item())
    print(f"loss {history[0]:.1f} in the first step, {history[-1]:.1f} in the last")
    return history


if __name__ == "__main__":
    main()
