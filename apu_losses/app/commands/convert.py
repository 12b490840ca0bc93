"""The commands `apu convert` and `apu inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apu_contacts.files import refuse_foreign, refuse_inputs
from apu_losses.app.commands.common import OVERWRITE, given_files, reading_input
from apu_losses.app.console import BadInput, table

if TYPE_CHECKING:
    from apu_losses.fitting.convert import Conversion


def convert(
    parameters: Annotated[
        Path,
        typer.Argument(
            metavar="FIT.npz|SAM3D", help="Parameters, as `fit` writes them; or SAM 3D Body's file or folder."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(help="'free', or the path of your SMPL-X, SMPL-H or SMPL file; or a mapping to a mesh."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz to write.")],
    source: Annotated[
        str | None, typer.Option("--from", help="The body of FIT.npz, likewise; 'free' if left out.")
    ] = None,
    faces: Annotated[
        Path | None, typer.Option(help="Triangles of SAM 3D Body's meshes: mhr_face_mask.ply, or an .npy.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="mhr2smplx_mapping.npz or mhr2smpl_mapping.npz, for those bodies.")
    ] = None,
    back: Annotated[
        Path | None, typer.Option(help="Write what leads from the body back to such meshes: for --to.")
    ] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option(metavar="W H", help="Of SAM 3D Body's picture, to be checked.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Turn fitted parameters of one body into those of another, or meshes into parameters, and back; say how
    far the two surfaces are apart.
    """
    from apu_losses.bodies import load_body
    from apu_losses.fitting import convert_mesh
    from apu_losses.fitting.convert import convert_file, is_converted

    if convert_mesh.is_mapping(to):
        refuse_foreign(out, lambda _: False, "a mesh", overwrite=overwrite)
        meshes = convert_mesh.convert_back_file(parameters, out, load_body(source or "free"), to)
        typer.echo(f"{out} written: {len(meshes)} meshes of {meshes.shape[1]} vertices")
        return
    if convert_mesh.is_mesh_source(parameters):
        if faces is None:
            raise BadInput(
                f"{parameters}: SAM 3D Body's meshes need their triangles: --faces mhr_face_mask.ply (of "
                "Meta's MHR repository), or np.save of estimator.faces"
            )
        refuse_foreign(out, is_converted, "a result of apu convert", overwrite=overwrite)
        found = convert_mesh.convert_mesh_file(
            parameters, out, load_body(to), faces, mapping=mapping, back=back, size=size
        )
        _residuals(found.conversion, tuple(f"{1000 * there:.2f}" for there in found.round_trip.tolist()))
        typer.echo(f"{out} written{f', {back} written' if back else ''}")
        return

    refuse_inputs([out], [parameters, *given_files(to, source)])
    refuse_foreign(out, is_converted, "a result of apu convert", overwrite=overwrite)
    result = convert_file(parameters, out, load_body(source or "free"), load_body(to))
    _residuals(result)
    unsure = int(result.unsure.sum())
    typer.echo(f"{out} written; {unsure} of {len(result.unsure)} vertices had no sure counterpart")


def _residuals(result: Conversion, there_and_back: tuple[str, ...] = ()) -> None:
    figures = zip(*(each.tolist() for each in (result.mean_mm, result.p95_mm, result.max_mm)), strict=True)
    rows: list[tuple[object, ...]] = [
        (person, *(f"{value:.2f}" for value in row)) for person, row in enumerate(figures)
    ]
    header: tuple[str, ...] = ("person", "residual mean, mm", "95 %, mm", "largest, mm")
    if there_and_back:
        header = (*header, "there and back, mm")
        rows = [(*row, back) for row, back in zip(rows, there_and_back, strict=True)]
    table(header, rows)


def inspect(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Files of any tool, or folders of one person a file.")
    ],
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="W H", help="Size of the picture or video in pixels; else that of one beside."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a file instead.")] = False,
) -> None:
    """Say what a file is, who is in it, in which frame, units and body, and what would be read or refused."""
    import json
    from dataclasses import asdict

    from apu_contacts.sources import inspect_file

    unknown = 0
    for number, file in enumerate(files):
        with reading_input():
            found = inspect_file(file, size)
        unknown += bool(found.refused)
        if as_json:
            typer.echo(json.dumps(asdict(found)))
            continue
        if number:
            typer.echo("")
        typer.echo(str(file))
        for name, words in found.rows():
            typer.echo(f"  {name}: {words}")
    if unknown:
        raise typer.Exit(1)
