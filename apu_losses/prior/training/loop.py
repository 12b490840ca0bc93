"""The loop of a training: it goes on to the bit where it was stopped, alone or in several processes."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from apu_contacts.files import write_text
from apu_losses.bodies.protocol import BodyModel
from apu_losses.prior.gaussian import GaussianDesign
from apu_losses.prior.layout import PriorLayout
from apu_losses.prior.model import ContactPrior, make_network, read_tensors, write_tensors
from apu_losses.prior.schedule import CosineSchedule
from apu_losses.prior.training.config import TrainConfig
from apu_losses.prior.training.mixture import Batch, CodedSet, draw_batch, step_generator
from apu_losses.prior.training.objective import guess_loss

PRIOR_FILE, STATE_FILE, LOG_FILE = "prior.safetensors", "state.safetensors", "log.jsonl"
Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        prior: with the averaged weights.
        path: of its file.
        steps: in all.
        seconds: of this run.
        loss: mean of the last hundred steps of this run; NaN where none was taken.
    """

    prior: ContactPrior
    path: Path
    steps: int
    seconds: float
    loss: float


def train(
    config: TrainConfig,
    sets: Sequence[CodedSet],
    body: BodyModel,
    out: str | Path,
    *,
    device: torch.device | str = "cpu",
    until: int | None = None,
    mirror: bool = True,
    tell: Tell | None = None,
) -> Trained:
    """Train a prior; run again with the same folder to go on where it was.

    Under ``torchrun`` several processes share each batch (gloo on CPUs, NCCL on GPUs), and the first writes.

    Args:
        config: all options.
        sets: what to learn from, as codes.
        body: whose parameters they are.
        out: folder of ``prior.safetensors``, ``state.safetensors`` and ``log.jsonl``.
        device: where to compute.
        until: stop after so many steps in all, before the configured end.
        mirror: turn half of the pairs into their mirror images.
        tell: called with the share that is done, and a line with the loss and the time left.

    Raises:
        ValueError: a folder that holds the state of another configuration.
        ImportError: safetensors is not installed; TensorBoard is wanted and is not.
    """
    layout, folder = PriorLayout.of_body(body), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if config.design == "gaussian":
        return _count(config, sets, layout, folder)
    device = torch.device(device)
    rank, world = _join_others(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = make_network("buddi", layout, CosineSchedule(), config.network).to(torch.float32)
    run = _Run(config, layout, network.to(device), device)
    state = folder / STATE_FILE
    if state.is_file():
        run.restore(state)
    learner: nn.Module = run.network
    if world > 1:
        learner = nn.parallel.DistributedDataParallel(run.network)
    began, first, losses = time.perf_counter(), run.step, list[float]()
    end = config.steps if until is None else min(until, config.steps)
    writer = _curves(folder) if config.tensorboard and rank == 0 else None
    while run.step < end:
        generator = step_generator(config.seed, run.step)
        batch = draw_batch(
            sets,
            layout,
            config.batch,
            run.schedule.steps,
            config.nothing,
            config.some,
            generator,
            mirror=mirror,
        )
        parts = run.advance(learner, batch.part(rank, world).to(device), rank, body)
        losses.append(sum(parts.values()))
        done = run.step >= end
        if tell is not None and rank == 0:
            tell(run.step / config.steps, _said(run.step, end, first, began, losses))
        if rank == 0 and (run.step % 50 == 0 or done):
            said = {"step": run.step, "loss": _recent(losses), **parts}
            with (folder / LOG_FILE).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(said) + "\n")
            if writer is not None:
                for name, value in parts.items():
                    writer.add_scalar(f"loss/{name}", value, run.step)
        if rank == 0 and (run.step % config.every == 0 or done):
            run.save(state)
    if writer is not None:
        writer.close()
    prior = run.prior()
    if rank == 0:
        prior.save(folder / PRIOR_FILE)
    seconds = time.perf_counter() - began
    return Trained(prior, folder / PRIOR_FILE, run.step, seconds, _recent(losses))


class _Run:
    """A network on its way, with its optimiser and its average."""

    def __init__(self, config: TrainConfig, layout: PriorLayout, network: nn.Module, device: torch.device):
        self.config, self.layout, self.network, self.device = config, layout, network, device
        self.schedule, self.step = CosineSchedule(), 0
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01)

    def advance(self, learner: nn.Module, batch: Batch, rank: int, body: BodyModel) -> dict[str, float]:
        """Take one step; return the weighted losses by name."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._pace()
        learner.train()
        noisy = self.schedule.add_noise(batch.pairs, batch.t, batch.noise)
        # what is dropped out hangs on the step and the process, not on what was drawn before
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed((self.config.seed * 7919 + self.step) * 64 + rank)
            with self._precision():
                guess = learner(noisy, batch.t, batch.estimates, batch.known)
        parts = guess_loss(guess.float(), batch.pairs, self.layout, self.config.losses, body)
        loss = torch.stack(list(parts.values())).sum()
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the loss is {float(loss)} in step {self.step}: a smaller learning_rate?"
            )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimiser.step()
        self.step += 1
        self._take_into_average()
        return {name: float(value.detach()) for name, value in parts.items()}

    def prior(self) -> ContactPrior:
        """Return the prior with averaged weights."""
        network = make_network("buddi", self.layout, self.schedule, self.config.network).to(torch.float32)
        network.load_state_dict(self.average)
        about = {"steps": self.step, "config": self.config.to_dict()}
        return ContactPrior(self.layout, network.to(self.device), self.schedule, about)

    def save(self, path: Path) -> None:
        """Write all that the next step needs."""
        tensors = {f"weights.{n}": v for n, v in self.network.state_dict().items()}
        tensors |= {f"average.{n}": v for n, v in self.average.items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state[parameter].items():
                tensors[f"optimiser.{name}.{key}"] = value
        write_tensors(path, tensors, {"step": self.step, "config": _lasting(self.config)})

    def restore(self, path: Path) -> None:
        """Go back to where a file was written."""
        tensors, about = read_tensors(path)
        if about["config"] != json.loads(json.dumps(_lasting(self.config))):
            raise ValueError(
                f"{path}: belongs to a training of another configuration; name another folder, or remove "
                "this one"
            )
        self.step = int(about["step"])
        self.network.load_state_dict(_under(tensors, "weights."))
        self.average = {n: v.to(self.device) for n, v in _under(tensors, "average.").items()}
        for name, parameter in self.network.named_parameters():
            own = _under(tensors, f"optimiser.{name}.")
            # the count of steps stays where AdamW keeps it
            self.optimiser.state[parameter] = {
                key: value if key == "step" else value.to(self.device) for key, value in own.items()
            }

    def _pace(self) -> float:
        """Rise over the first twentieth, then fall along a cosine to a tenth."""
        share, rise = self.step / self.config.steps, 0.05
        if share < rise:
            return (share + 1 / self.config.steps) / rise
        return 0.55 + 0.45 * math.cos(math.pi * (share - rise) / (1 - rise))

    def _precision(self) -> AbstractContextManager[Any]:
        wanted = self.config.precision
        if wanted == "auto":
            usable = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
            wanted = "bfloat16" if usable else "full"
        if wanted == "full":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @torch.no_grad()
    def _take_into_average(self) -> None:
        # at first the average is young: it forgets faster
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].mul_(keep).add_(value, alpha=1 - keep)


def _count(config: TrainConfig, sets: Sequence[CodedSet], layout: PriorLayout, folder: Path) -> Trained:
    """Fit the design that is counted."""
    told = [s for s in sets if s.estimates is not None]
    if not told:
        raise ValueError("the design 'gaussian' needs pairs with estimates: none of the data sets has any")
    began = time.perf_counter()
    network = GaussianDesign(layout)
    shares = [
        torch.full((len(s.pairs),), s.share / len(s.pairs), dtype=s.pairs.dtype, device="cpu") for s in told
    ]
    network.fit(
        torch.cat([s.pairs for s in told]),
        torch.cat([s.estimates for s in told if s.estimates is not None]),
        torch.cat(shares),
        ridge=config.ridge,
    )
    about = {"steps": 0, "config": config.to_dict()}
    prior = ContactPrior(layout, network.to(torch.float32), network.schedule, about)
    prior.save(folder / PRIOR_FILE)
    return Trained(prior, folder / PRIOR_FILE, 0, time.perf_counter() - began, float("nan"))


def overfit(
    config: TrainConfig,
    sets: Sequence[CodedSet],
    body: BodyModel,
    out: str | Path,
    pairs: int,
    *,
    device: torch.device | str = "cpu",
    tell: Tell | None = None,
) -> tuple[Trained, float]:
    """Learn a few pairs by heart, to see that a training learns at all.

    Args:
        pairs: how many of the first data set.

    Returns:
        what came out, and how far its guesses are from the pairs at t = 100, told nothing: the root mean
        square over all numbers. A training that works ends below a tenth.
    """
    few = CodedSet(sets[0].pairs[:pairs], None)
    network = {**config.network, "dropout": 0.0} if config.design == "buddi" else {}
    own = replace(config, network=network)
    done = train(own, [few], body, out, device=device, mirror=False, tell=tell)
    prior = done.prior
    x = few.pairs.to(prior.device)
    noise = torch.randn(x.shape, generator=step_generator(config.seed, -1), dtype=x.dtype, device="cpu")
    t = torch.full((len(x),), 100, dtype=torch.int64, device=x.device)
    with torch.no_grad():
        guess = prior.network(prior.schedule.add_noise(x, t, noise.to(x.device)), t)
    return done, float((guess - x).square().mean().sqrt())


def _join_others(device: torch.device) -> tuple[int, int]:
    """Return this process's number, and how many there are."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return 0, 1
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _lasting(config: TrainConfig) -> dict[str, Any]:
    """Return what must not change between the runs of a training."""
    return {k: v for k, v in config.to_dict().items() if k not in ("every", "tensorboard")}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _recent(losses: Sequence[float]) -> float:
    last = losses[-100:]
    return sum(last) / len(last) if last else float("nan")


def _said(step: int, end: int, first: int, began: float, losses: Sequence[float]) -> str:
    each = (time.perf_counter() - began) / max(step - first, 1)
    left = int(each * (end - step))
    pace = f"{1 / each:.1f} steps a second, {left // 60}:{left % 60:02d} left"
    return f"step {step}, loss {_recent(losses):.3g}, {pace}"


def _curves(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError("tensorboard = true needs TensorBoard: pip install 'apu-losses[train]'") from None
    return SummaryWriter(str(folder / "curves"))


def write_config(config: TrainConfig, out: str | Path) -> None:
    """Leave the options of a training beside what it makes, as JSON."""
    write_text(Path(out) / "config.json", json.dumps(config.to_dict(), indent=1) + "\n")
