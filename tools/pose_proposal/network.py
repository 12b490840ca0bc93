"""The network as PyTorch trains it, its loss, and the file that the package reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from apu_contacts.files import staged_file
from apu_losses.fitting.start.from_keypoints.proposal import FEATURES, JOINTS, LOG_DOUBT, PER_POSE

from .pictures import Skeleton

F32 = torch.float32


class PoseNetwork(nn.Module):
    """Keypoints to ``poses`` poses, the logit of each, and how far each joint of each may be off."""

    def __init__(self, width: int = 384, blocks: int = 2, poses: int = 4) -> None:
        super().__init__()
        self.poses = poses
        self.first = nn.Linear(FEATURES, width, dtype=F32, device="cpu")
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(width, dtype=F32, device="cpu"),
                    "in": nn.Linear(width, width, dtype=F32, device="cpu"),
                    "out": nn.Linear(width, width, dtype=F32, device="cpu"),
                }
            )
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width, dtype=F32, device="cpu")
        self.last = nn.Linear(width, poses * PER_POSE, dtype=F32, device="cpu")
        with torch.no_grad():
            self.last.weight.mul_(0.3)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotations ``(N, K, 22, 3, 3)``, logits ``(N, K)`` and logarithms of metres ``(N, K, 22)``."""
        values = self.first(features)
        for block in self.blocks:
            values = values + block["out"](nn.functional.gelu(block["in"](block["norm"](values))))
        said = self.last(self.norm(values)).unflatten(1, (self.poses, PER_POSE))
        six = said[..., : 6 * JOINTS].unflatten(2, (JOINTS, 6))
        return _rotations(six), said[..., 6 * JOINTS], said[..., 6 * JOINTS + 1 :] + LOG_DOUBT


def loss_of(
    network: PoseNetwork, skeleton: Skeleton, features: Tensor, target: Tensor
) -> tuple[Tensor, float, float]:
    """Return the loss, and metres by which joints of the best and of the likeliest pose are off.

    The best of the poses learns, and the others a little; a logit learns which is going to be the best, and
    the doubts how far its joints are off.
    """
    rotations, logits, log_doubt = network(features)
    count, poses = logits.shape
    rest = torch.as_tensor(skeleton.rest[:JOINTS], dtype=F32, device="cpu")
    apart = _joints(rotations.flatten(0, 1), rest, skeleton.parents).unflatten(0, (count, poses))
    apart = ((apart - _joints(target, rest, skeleton.parents)[:, None]).square().sum(-1) + 1e-6).sqrt()
    turned = (rotations - target[:, None]).square().sum((-1, -2))
    each = 10 * apart.mean(-1) + 0.5 * turned.mean(-1)
    best = each.argmin(1)
    learn = each.gather(1, best[:, None])[:, 0] + 0.05 * each.mean(1)
    rows = best[:, None, None].expand(-1, 1, JOINTS)
    doubt, off = log_doubt.gather(1, rows)[:, 0], apart.gather(1, rows)[:, 0].detach()
    unlikely = (doubt + off / doubt.exp()).mean(-1)
    loss = (learn + 0.05 * unlikely).mean() + 0.1 * nn.functional.cross_entropy(logits, best)
    metres = apart.detach().mean(-1)
    likeliest = metres.gather(1, logits.argmax(1)[:, None]).mean()
    return loss, float(metres.gather(1, best[:, None]).mean()), float(likeliest)


def write(network: PoseNetwork, skeleton: Skeleton, path: Path) -> None:
    """Write what `propose_poses` reads: the weights in half precision, and the skeleton that poses move."""
    arrays = {}
    for name, value in network.state_dict().items():
        name = name.replace("blocks.", "block", 1) if name.startswith("blocks.") else name
        arrays[name] = value.numpy().astype(np.float16)
    arrays["blocks"] = np.array(len(network.blocks), np.int64)
    arrays["rest"] = skeleton.rest[:JOINTS].astype(np.float32)
    arrays["parents"] = np.array(skeleton.parents[:JOINTS], np.int64)
    with staged_file(path) as staged, staged.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _rotations(six: Tensor) -> Tensor:
    first = six[..., :3] + six.new_tensor([1.0, 0.0, 0.0])
    second = six[..., 3:] + six.new_tensor([0.0, 1.0, 0.0])
    first = first / first.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    second = second - (first * second).sum(-1, keepdim=True) * first
    second = second / second.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def _joints(rotations: Tensor, rest: Tensor, parents: tuple[int, ...]) -> Tensor:
    turns, places = [rotations[:, 0]], [rotations.new_zeros((len(rotations), 3))]
    for joint in range(1, JOINTS):
        parent = parents[joint]
        places.append(places[parent] + turns[parent] @ (rest[joint] - rest[parent]))
        turns.append(turns[parent] @ rotations[:, joint])
    return torch.stack(places, 1)
