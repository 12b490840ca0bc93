"""What several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from apu_losses.app.console import EXPECTED, BadInput, in_words

OVERWRITE = "Replace what is there under these names, whatever it is."

# options that several commands have, with one meaning
ModelName = Annotated[str | None, typer.Option(help="Name of the model, as the server knows it.")]
ServerAddress = Annotated[str | None, typer.Option(help="Server with /v1.")]
ConfigFile = Annotated[Path | None, typer.Option(help="All options: a .toml, as a run leaves it.")]
ChangedOptions = Annotated[
    list[str] | None, typer.Option("--set", help="One option: fit.preset=paper. May be repeated.")
]
MeshBody = Annotated[
    str | None, typer.Option(help="Your SMPLX_*.npz, if the meshes are not of the free body.")
]
MeshRegions = Annotated[Path | None, typer.Option(help="Region map of their topology.")]
OtherBody = Annotated[str | None, typer.Option(help="Of B, if it is of another topology.")]
OtherRegions = Annotated[Path | None, typer.Option(help="Likewise.")]


@contextmanager
def reading_input() -> Iterator[None]:
    """Errors raised while the user's input is read are the user's to mend: one line, no traceback."""
    try:
        yield
    except EXPECTED as error:
        raise BadInput(in_words(error)) from error


def given_files(*values: object) -> list[Path]:
    """Those of some options' values that are files: a preset, a body or a region map of the user's own."""
    return [Path(str(value)) for value in values if value is not None and Path(str(value)).is_file()]


def use_threads(count: int) -> None:
    """Use one thread where nothing else is said: the tensors of a few people are small, and threads that wait
    for each other can make a fit slower.
    """
    import torch

    torch.set_num_threads(count)


def known_device(name: str) -> str:
    """Return the device's name if tensors can be made there; else say why not."""
    import torch

    try:
        torch.empty(0, device=name, dtype=torch.float32)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from None
    return name
