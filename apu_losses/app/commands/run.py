"""The command `apu run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apu_losses.app.commands.common import (
    ChangedOptions,
    ConfigFile,
    ModelName,
    ServerAddress,
    reading_input,
    use_threads,
)
from apu_losses.app.console import complain, progress_bar, say_when_interrupted, table


def run_all(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Pictures, folders of them, or a .jsonl that lists them.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything; goes on with it.")] = Path(
        "apu_run"
    ),
    model: ModelName = None,
    base_url: ServerAddress = None,
    config: ConfigFile = None,
    set_: ChangedOptions = None,
    start: Annotated[str | None, typer.Option(help="Starts: auto, keypoints or estimate.")] = None,
    preset: Annotated[str | None, typer.Option(help="A preset's name, or its .json file.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop before the first question; say what would be asked.")
    ] = False,
) -> None:
    """From photographs to meshes that touch: detect, propose, ask, resolve, fit, judge; and a page of it.

    Files of keypoints and of estimators that lie beside a picture are used. Run again to go on where it was.
    """
    from apu_contacts.asking import AskInterrupted
    from apu_contacts.asking.commands import summary_lines
    from apu_losses.generate.config import RunConfig, changes_of
    from apu_losses.generate.page import COLUMNS
    from apu_losses.generate.run import run

    with reading_input():
        if not images:
            raise ValueError("run needs pictures, or a folder of them")
        settings = RunConfig() if config is None else RunConfig.load(config)
        settings = settings.changed(changes_of(settings, set_ or []))
        given = {"ask": {"model": model, "base_url": base_url}}
        given |= {"propose": {"start": start}, "fit": {"preset": preset}}
        settings = settings.changed(
            {part: {k: v for k, v in values.items() if v is not None} for part, values in given.items()}
        )
    use_threads(settings.fit.threads)
    say_when_interrupted(lambda: f"interrupted; what is done is in {out}, the same command goes on from it")
    with progress_bar() as tell:
        try:
            done = run(images, out, settings, dry_run=dry_run, progress=tell)
        except AskInterrupted as interrupted:
            for line in summary_lines(interrupted.summary):
                typer.echo(line)
            raise typer.Exit(128 + interrupted.number) from None
    if done.detector:
        typer.echo(f"detector: {done.detector}")
    for note in done.notes:
        complain("run", f"note: {note}")
    if done.dry is not None:
        table(("what", "number"), done.dry.rows())
        return
    if done.asked is not None:
        for line in summary_lines(done.asked):
            typer.echo(line)
    if done.contacts is not None:
        table(("what", "number"), done.contacts.rows())
    table(COLUMNS, done.rows())
    typer.echo(f"{out / 'index.html'} shows each; meshes and records are in {out / 'fits'}")
    if done.incomplete:
        raise typer.Exit(1)
