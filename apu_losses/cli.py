"""The command `apu`: it reads arguments, calls the library and prints. What it computes lives elsewhere.

Exit codes: 0 done; 1 `doctor` found a problem, or no scene of `fit` was kept; 2 bad input, with one line on
standard error; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

# click's class, wherever this version of typer keeps click
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="apu",
    help="From a photograph of people touching to 3D meshes that touch where the people do.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class BadInput(Exception):
    """Something the user gave cannot be used; the message is one line that says what and where."""


@contextmanager
def _input() -> Iterator[None]:
    """Errors raised while the user's input is read are the user's to mend: one line, no traceback."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        raise BadInput(" ".join(text.split())) from error


def _version(wanted: bool) -> None:
    if wanted:
        from apu_contacts._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def regions(
    which: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Id (0 to 74) or name of a region.")
    ] = None,
    parts: Annotated[bool, typer.Option("--parts", help="List the 17 body parts instead.")] = False,
) -> None:
    """Explain one of the 75 surface regions, or list them all."""
    from apu_contacts.regions import PARTS, REGIONS, RegionMap, part_regions

    if which is not None:
        with _input():
            typer.echo(RegionMap.load("free").explain(which))
        return
    if parts:
        rows = [(name, *(_ids(part_regions(name, side)) for side in ("left", "right"))) for name in PARTS]
        _table(("part", "left", "right"), rows)
        return
    sizes = RegionMap.load("free").sizes
    _table(
        ("id", "name", "side", "mirror", "part", "vertices"),
        [(r.id, r.name, r.side, r.mirror, r.part, sizes[r.id]) for r in REGIONS],
    )


@app.command()
def doctor() -> None:
    """Say what is installed, which kernels would run and why, and which body and region map are found."""
    from apu_losses.doctor import examine

    findings = examine()
    _table(("topic", "name", "state", "detail"), [(f.topic, f.name, f.state, f.detail) for f in findings])
    problems = sum(f.state == "problem" for f in findings)
    if problems:
        _complain("doctor", f"{problems} problem{'s' if problems > 1 else ''} found")
        raise typer.Exit(1)


def _ids(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids))


def _table(header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    # a pipe or file has no width of its own: let no line be wrapped there
    Console(width=None if sys.stdout.isatty() else 200).print(table, markup=False)


def _progress(label: str) -> Progress:
    """A progress bar on standard error, so that standard output stays clean."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn(label), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def _complain(where: str, message: str) -> None:
    typer.echo(f"apu {where}: {message}".replace("apu : ", "apu: "), err=True)


def main() -> None:
    """Entry point of the command."""
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    try:
        code = app(standalone_mode=False)
    except BadInput as error:
        _complain(command, str(error))
        code = 2
    except _UsageError as error:
        message = getattr(error, "format_message", error.__str__)()
        _complain(command, f"{message} See 'apu --help'.")
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        _complain(command, "interrupted, nothing was written")
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
