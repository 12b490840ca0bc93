"""The commands `apu dataset`, `apu audit` and `apu report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from apu_losses.app.console import BadInput, complain, progress_bar, table

dataset = typer.Typer(
    name="dataset",
    help="Look at, check, join, split and export data sets of pairs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Folder = Annotated[
    Path, typer.Argument(metavar="DATASET", help="A folder of shards, as `generate` writes it.")
]
_Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]


@dataset.command()
def info(
    folder: _Folder,
    cards: Annotated[bool, typer.Option("--cards", help="Write card and datasheet anew.")] = False,
) -> None:
    """Count images, pairs, sources, interactions and what rejected pairs."""
    from apu_losses.dataset.card import write_cards
    from apu_losses.dataset.folder import count

    found = write_cards(folder) if cards else count(folder)
    table(("what", "number"), found.rows())
    sources = [(name or "-", *numbers) for name, numbers in sorted(found.sources.items())]
    table(("source", "images", "candidate pairs", "pairs kept"), sources)
    table(("interaction", "pairs kept"), found.interactions.most_common(20))
    if cards:
        typer.echo(f"{folder / 'README.md'}, {folder / 'datasheet.md'} written")


@dataset.command()
def verify(folder: _Folder) -> None:
    """Hold every file against its digest and every record against the schema."""
    from apu_losses.dataset.folder import shards
    from apu_losses.dataset.folder import verify as check

    with progress_bar() as tell:
        problems = check(folder, tell)
    for problem in problems:
        complain("dataset verify", problem)
    found = shards(folder)
    typer.echo(f"{len(found)} shards, {sum(s.records for s in found)} records, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


@dataset.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Data sets.")], out: _Out
) -> None:
    """Make one data set of several; what several have is taken once."""
    from apu_losses.dataset.card import write_cards
    from apu_losses.dataset.folder import merge as join

    count = join(folders, out)
    write_cards(out)
    typer.echo(f"{count} records in {out}")


@dataset.command()
def split(
    folder: _Folder,
    out: _Out,
    part: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SHARE", help="train=0.8. May be repeated.")
    ] = None,
    by: Annotated[str, typer.Option(help="What stays together: source or interaction.")] = "interaction",
    seed: Annotated[int, typer.Option(help="Of the order in which groups are dealt out.")] = 0,
) -> None:
    """Split a data set by image source or by interaction, never by pair."""
    from apu_losses.dataset.folder import split as divide

    shares = {}
    for text in part or ["train=0.8", "test=0.2"]:
        name, _, share = text.partition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            raise BadInput(f"--part must be NAME=SHARE, such as train=0.8, got {text!r}") from None
    done = divide(folder, out, shares, by=by, seed=seed)  # type: ignore[arg-type]
    table(("part", "records"), list(done.items()))


@dataset.command()
def export(
    folder: _Folder,
    out: _Out,
    form: Annotated[str, typer.Option("--format", help="coco, smplx, smpl or buddi.")] = "smplx",
    rejected: Annotated[bool, typer.Option("--rejected", help="Those that were not kept, too.")] = False,
) -> None:
    """Write the pairs as other tools read them: COCO-WholeBody JSON, .npz a person, .smpl, BUDDI's .npz."""
    from apu_losses.dataset.export import export as write

    count = write(folder, out, form, kept_only=not rejected)
    typer.echo(f"{count} {'pairs' if form in ('buddi',) else 'people'} in {out}")


@dataset.command()
def diversity(
    sets: Annotated[
        list[str],
        typer.Argument(metavar="NAME=SET...", help="Data sets, or files of 'interaction<TAB>count'."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Figure to write: .svg.")] = Path("diversity.svg"),
    encoder: Annotated[
        str, typer.Option(help="wordllama (offline), or a folder with CLIP's weights.")
    ] = "wordllama",
) -> None:
    """Compare the interactions of several sets: the paper's figure, coverage, entropy, nearest classes."""
    from apu_losses.dataset.diversity import compare, figure, interactions_of

    named = {}
    for text in sets:
        name, mark, path = text.partition("=")
        named[name if mark else Path(text).name] = interactions_of(path if mark else text)
    found = compare(named, encoder)
    table(found.header, found.rows())
    figure(out, found)
    typer.echo(f"embeddings: {found.encoder}; {out} written")


def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Shards, BUDDI-style .npz, or SMPL-X files of people.")
    ],
    rule: Annotated[list[str] | None, typer.Option(help="A threshold: shape=4. May be repeated.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write which pair breaks what: .json.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Hold every pair of a data set, ours or another's, against named rules with thresholds."""
    from apu_contacts.files import refuse_foreign, write_text
    from apu_losses.app.commands.generate import thresholds
    from apu_losses.dataset.audit import audit as look
    from apu_losses.dataset.rules import Rules

    if out is not None:
        refuse_foreign(out, _is_audit, "a report of apu audit", overwrite=overwrite)
    found = look(folder, Rules.changed(thresholds(rule or [])))
    for problem in found.problems:
        complain("audit", f"note: {problem}")
    table(("rule", "threshold", "pairs measured", "against it", "share"), found.rows())
    clean = found.pairs - len(found.broken)
    typer.echo(f"{found.pairs} pairs ({found.kind}); {clean} break no rule")
    if out is not None:
        write_text(out, json.dumps(found.to_dict(), indent=1) + "\n")
        typer.echo(f"{out} written")
    if found.problems:
        raise typer.Exit(1)


def report(
    folder: _Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write: .html.")] = Path("report.html"),
    pairs: Annotated[int, typer.Option(min=0, help="Pairs that are shown as pictures, at most.")] = 120,
    body: Annotated[
        str, typer.Option(help="Body that the pairs were fitted with: free, or a file of SMPL-X.")
    ] = "free",
    title: Annotated[str, typer.Option(help="Of the page; the folder's name if left out.")] = "",
    photographs: Annotated[
        bool, typer.Option("--photographs/--no-photographs", help="Show crops of the photographs.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is no report.")] = False,
) -> None:
    """Show a data set on one page: counts, histograms, why pairs were rejected, and pairs with filters.

    The page is one file. It needs no server, asks none for anything, and holds the pictures itself.

    Example: apu report pairs -o report.html --pairs 300
    """
    from apu_contacts.files import refuse_foreign, refuse_inputs
    from apu_losses.bodies import load_body
    from apu_losses.report import ReportOptions, is_report, write_report

    refuse_inputs([out], [*folder.glob("*.parquet"), *folder.glob("*.json")] if folder.is_dir() else [])
    refuse_foreign(out, is_report, "a page of apu report", overwrite=overwrite)
    options = ReportOptions(title, pairs, photographs=photographs)
    with progress_bar() as tell:
        done = write_report(folder, out, load_body(body) if pairs else None, options, tell)
    for note, count in sorted(done.notes.items()):
        complain("report", f"note: {count} of {done.shown} pairs {note}")
    size = out.stat().st_size / 1e6
    typer.echo(f"{out} written: {done.shown} of {done.pairs} pairs as pictures, {size:.1f} MB")


def _is_audit(path: Path) -> bool:
    from apu_contacts.reading import parse_json

    data = parse_json(path.read_text(encoding="utf-8"), str(path), checked=False)
    return isinstance(data, dict) and {"kind", "pairs", "rules", "broken"} <= data.keys()
