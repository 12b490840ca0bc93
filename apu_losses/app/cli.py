"""The command `apu`: it reads arguments, calls the library and prints. What it computes lives elsewhere.

Exit codes: 0 done; 1 something could not be done (a problem that `doctor` found, a scene that `fit` could not
fit, an image that `detect` or `propose` could not read, a question that `ask` got no answer to, a text that
`parse` could not read whole); 2 bad input, with one line on standard error; 130 interrupted (143 by SIGTERM),
what was done is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, ClassVar

import typer

from apu_losses.app.commands.ask import ask, contacts, parse
from apu_losses.app.commands.convert import convert, inspect
from apu_losses.app.commands.dataset import audit, dataset, report
from apu_losses.app.commands.detect import detect, propose
from apu_losses.app.commands.doctor import doctor
from apu_losses.app.commands.evaluate import evaluate
from apu_losses.app.commands.fit import TwoWords, demo, fit, presets
from apu_losses.app.commands.generate import generate
from apu_losses.app.commands.match import labels, match
from apu_losses.app.commands.regions import map_, regions
from apu_losses.app.commands.run import run_all
from apu_losses.app.commands.touches import touches, unite
from apu_losses.app.commands.train_prior import train_prior
from apu_losses.app.console import Group, run


class _Sections(Group):
    """The commands by what one has and wants."""

    sections: ClassVar = {
        "The whole path": ("run", "generate", "demo"),
        "Its steps": ("detect", "propose", "ask", "contacts", "fit"),
        "Data sets and evaluation": ("dataset", "audit", "report", "evaluate", "train-prior"),
        "Meshes and files of other tools": (
            "inspect",
            "convert",
            "map",
            "touches",
            "unite",
            "match",
            "labels",
        ),
        "To look things up": ("regions", "parse", "presets", "doctor"),
    }


app = typer.Typer(
    name="apu",
    help="From a photograph of people touching to 3D meshes that touch where the people do.",
    cls=_Sections,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("run", run_all, "Photographs to meshes that touch, and a page of it."),
    ("generate", generate, "A data set of pairs from any number of images."),
    ("demo", demo, "Fit the bundled scene; leave pictures and meshes."),
    ("detect", detect, "Find people and their keypoints in pictures."),
    ("propose", propose, "Find pairs who may touch; write scenes."),
    ("ask", ask, "Ask a vision language model which parts touch."),
    ("contacts", contacts, "Put the answers into the scenes."),
    ("fit", fit, "Fit bodies to scenes; leave meshes and records."),
    ("audit", audit, "Hold every pair of a data set against rules."),
    ("report", report, "Show a data set on one page."),
    ("evaluate", evaluate, "Measure fits by a protocol of the paper."),
    ("train-prior", train_prior, "Train a prior of two people."),
    ("inspect", inspect, "Say what a file is, and what would be read of it."),
    ("convert", convert, "Turn one body's parameters into another's."),
    ("map", map_, "Carry the 75 regions to another mesh."),
    ("touches", touches, "Say which parts of two meshes touch."),
    ("unite", unite, "Bring two people of SAM 3D Body into contact."),
    ("match", match, "Make a contact map of what contact heads say."),
    ("labels", labels, "Write a contact map as a weight a vertex."),
    ("regions", regions, "Explain the 75 surface regions."),
    ("parse", parse, "Explain how a model's answer is read."),
    ("presets", presets, "List the presets of a fit, or print one."),
    ("doctor", doctor, "Say what is installed and what would run."),
)
for _name, _command, _help in _COMMANDS:
    app.command(_name, cls=TwoWords if _name == "fit" else None, short_help=_help)(_command)
app.add_typer(dataset, name="dataset", short_help="Look at, check, join, split and export data sets.")


def _version(wanted: bool) -> None:
    if wanted:
        from apu_contacts import __version__

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


def main() -> None:
    """Entry point of the command."""
    sys.exit(run(app))


if __name__ == "__main__":
    main()
