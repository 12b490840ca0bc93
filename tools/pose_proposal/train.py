"""Trains the network that proposes poses: `python -m tools.pose_proposal.train [--out FILE]`.

Half of the poses are those of the synthetic world's development types, exchanged limb by limb and with
noise, half are anybody's; every step draws new ones and new cameras. Seven minutes of one core. The same seed
gives the same poses on every machine, and weights that differ by the rounding of its matrix products.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from apu_losses.synthetic import DEVELOPMENT_TYPES

from .network import PoseNetwork, loss_of, write
from .pictures import free_skeleton, photograph
from .poses import anybody, of_types

OUT = Path(__file__).resolve().parents[2] / "apu_losses" / "fitting" / "start" / "data" / "pose_proposal.npz"


def train(options: argparse.Namespace) -> PoseNetwork:
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    skeleton, network = free_skeleton(), PoseNetwork()
    known = of_types(options.types)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    began, sums = time.perf_counter(), np.zeros(3)
    for step in range(options.steps):
        share = options.share if options.types else 0.0
        count = int(rng.binomial(options.batch, share))
        poses = np.concatenate([known(count, rng), anybody(options.batch - count, rng)])
        loss, best, likeliest = loss_of(network, skeleton, *photograph(poses, skeleton, rng))
        for group in optimizer.param_groups:
            rise = min(1.0, (step + 1) / 100)
            group["lr"] = 1.2e-3 * rise * 0.5 * (1 + math.cos(math.pi * step / options.steps)) + 1e-6
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        sums += [float(loss.detach()), best, likeliest]
        if (step + 1) % options.every == 0:
            means = sums / options.every
            print(
                f"{step + 1:6d}  loss {means[0]:.4f}  joints off {1000 * means[1]:.1f} mm (best pose), "
                f"{1000 * means[2]:.1f} mm (likeliest)  {time.perf_counter() - began:.0f} s",
                flush=True,
            )
            sums[:] = 0
    write(network, skeleton, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")
    return network


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--types", nargs="*", default=list(DEVELOPMENT_TYPES), help="whose poses are used")
    parser.add_argument("--share", type=float, default=0.5, help="of poses that are those of types")
    parser.add_argument("--every", type=int, default=200, help="steps between two lines")
    parser.add_argument("--check", action="store_true", help="two small steps, written nowhere")
    options = parser.parse_args()
    unknown = sorted(set(options.types) - set(DEVELOPMENT_TYPES))
    if unknown:
        raise SystemExit(f"--types must be development types, got {unknown}: others are held out")
    if not options.check:
        train(options)
        return
    with tempfile.TemporaryDirectory() as kept:
        options.out, options.steps, options.batch, options.every = Path(kept) / "network.npz", 2, 16, 1
        train(options)


if __name__ == "__main__":
    main()
