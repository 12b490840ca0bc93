"""The command `apu train-prior`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apu_losses.app.console import EXPECTED, BadInput, in_words, progress_bar, say_when_interrupted


def train_prior(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="All options of the training.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the prior; goes on with it.")] = Path(
        "apu_prior"
    ),
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")] = "cpu",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many steps in all; run again to go on.")
    ] = None,
    overfit: Annotated[
        int, typer.Option(min=0, help="Learn so many pairs by heart, to see that training works; 0: no.")
    ] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train a prior of two people; leave prior.safetensors for the presets that use one.

    The same command goes on where it was stopped. Under torchrun, several processes share the work.
    """
    import torch

    from apu_losses.bodies import load_body
    from apu_losses.prior.sources import describe_pairs
    from apu_losses.prior.training.config import TrainConfig
    from apu_losses.prior.training.loop import overfit as learn_by_heart
    from apu_losses.prior.training.loop import train, write_config
    from apu_losses.synthetic.training_data import coded, read_source

    torch.set_num_threads(threads)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput(f"--device {device}: torch sees no GPU here")
    say_when_interrupted(lambda: f"interrupted; the same command goes on from {out}")
    with progress_bar() as tell:
        try:
            settings = TrainConfig.load(config)
            body = load_body(settings.body)
            sets = []
            for source in settings.data:
                tell(0.0, f"reading {source.kind} {source.path}".rstrip())
                pairs = read_source(source, body)
                sets.append(coded(source, pairs, body))
                typer.echo(f"{source.kind} {source.path}: {describe_pairs(pairs)}")
            body = load_body(settings.body, device=device)
            if overfit:
                done, error = learn_by_heart(settings, sets, body, out, overfit, device=device, tell=tell)
            else:
                done = train(settings, sets, body, out, device=device, until=steps, tell=tell)
        except (*EXPECTED, ImportError, FloatingPointError) as problem:
            raise BadInput(in_words(problem)) from problem
        write_config(settings, out)
    took = "" if settings.design == "gaussian" else f", {done.steps} steps, loss {done.loss:.3g}"
    typer.echo(f"{done.path}: {settings.design}{took}, {done.seconds:.0f} s")
    if overfit:
        typer.echo(f"learned by heart to {error:.3f} (root mean square; below 0.1 training works)")
        if not error < 0.1:
            raise typer.Exit(1)
