"""The command `apu generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apu_losses.app.commands.common import ChangedOptions, ConfigFile, ModelName, ServerAddress
from apu_losses.app.console import BadInput, complain, progress_bar, say_when_interrupted, table


def generate(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Folders of pictures (their names are the sources), or lists.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The data set; goes on with it.")] = Path(
        "apu_pairs"
    ),
    model: ModelName = None,
    base_url: ServerAddress = None,
    config: ConfigFile = None,
    set_: ChangedOptions = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="A threshold: paper_pixels=15. May be repeated.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Workers, here or in the Ray cluster.")] = 1,
    images_per_shard: Annotated[int, typer.Option(min=1, help="What a worker holds at a time.")] = 64,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Work on every N-th shard from I on: for arrays of jobs.")
    ] = "0/1",
    ray: Annotated[bool, typer.Option("--ray", help="Spread the shards over a Ray cluster.")] = False,
    pictures: Annotated[bool, typer.Option("--pictures", help="Write tars with the photographs.")] = False,
    keep_work: Annotated[
        bool, typer.Option("--keep-work", help="Leave scenes and fits of each shard.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make shards again that were made otherwise.")
    ] = False,
) -> None:
    """From any number of images to a data set of pairs: records in Parquet shards, card and datasheet.

    Run again to go on where it was: nothing is asked twice, and the records are the same.
    """
    import torch

    from apu_losses.dataset.rules import Rules
    from apu_losses.generate.config import RunConfig, changes_of
    from apu_losses.generate.line.run import generate as run_line
    from apu_losses.generate.line.shard_work import LineOptions

    if not images:
        raise BadInput("generate needs pictures, or a folder of them")
    settings = RunConfig() if config is None else RunConfig.load(config)
    settings = settings.changed(changes_of(settings, set_ or []))
    given = {name: value for name, value in (("model", model), ("base_url", base_url)) if value is not None}
    settings = settings.changed({"ask": given})
    options = LineOptions(settings, Rules.changed(thresholds(rule or [])), pictures, keep_work, overwrite)
    torch.set_num_threads(settings.fit.threads)
    say_when_interrupted(lambda: f"interrupted; what is done is in {out}, the same command goes on from it")
    with progress_bar() as tell:
        done = run_line(
            images,
            out,
            options,
            images_per_shard=images_per_shard,
            processes=processes,
            shard=_part(shard),
            backend="ray" if ray else "processes",
            progress=tell,
        )
    for problem in done.problems:
        complain("generate", f"note: {problem}")
    totals = done.totals
    rows: list[tuple[object, ...]] = [
        ("shards", done.shards),
        ("shards that were there already", totals.already),
        ("images", totals.images),
        ("pairs", totals.pairs),
        ("pairs kept", totals.kept),
        ("questions asked", totals.asked),
        ("tokens", totals.prompt_tokens + totals.completion_tokens),
        *(((("spent"), f"{totals.cost:.4g}"),) if totals.cost else ()),
        *((f"rejected by {name}", count) for name, count in totals.reasons.most_common()),
    ]
    table(("this run", "number"), rows)
    if done.whole:
        typer.echo(f"{out} is whole; {out / 'README.md'} says what is in it")
    elif done.unfinished:
        typer.echo(f"{len(done.unfinished)} shards are unfinished: run again to go on with them")
    else:
        typer.echo(f"this part of {out} is done; the card is written when all parts are")
    if done.unfinished or done.problems:
        raise typer.Exit(1)


def _part(text: str) -> tuple[int, int]:
    first, mark, second = text.partition("/")
    if not mark or not first.isdigit() or not second.isdigit() or not int(first) < int(second):
        raise BadInput(f"--shard must be I/N with I from 0 to N - 1, such as 0/8, got {text!r}")
    return int(first), int(second)


def thresholds(given: list[str]) -> dict[str, float]:
    """Return NAME=NUMBER of the command line by name."""
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise BadInput(f"--rule must be NAME=NUMBER, such as paper_pixels=15, got {text!r}") from None
    return found
