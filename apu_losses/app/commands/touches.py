"""The commands `apu touches` and `apu unite`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from apu_contacts.files import refuse_foreign, refuse_inputs
from apu_losses.app.commands.common import (
    OVERWRITE,
    MeshBody,
    MeshRegions,
    OtherBody,
    OtherRegions,
    given_files,
    reading_input,
    use_threads,
)
from apu_losses.app.console import BadInput, complain, table


def touches(
    mesh_a: Annotated[Path, typer.Argument(metavar="A", help="A mesh: .obj, .ply, .glb, .stl, .off, .npz.")],
    mesh_b: Annotated[
        Path | None, typer.Argument(metavar="[B]", help="Another; left out, A holds the two.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The .json to write.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw both bodies: .png or .jpg.")] = None,
    threshold: Annotated[float, typer.Option(help="Metres below which two regions touch.")] = 0.02,
    body: MeshBody = None,
    regions: MeshRegions = None,
    body_b: OtherBody = None,
    regions_b: OtherRegions = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Say which body parts of two meshes touch, how near, and what lies inside the other."""
    from apu_losses.app import touch_files

    files = [mesh_a, *([] if mesh_b is None else [mesh_b])]
    outputs = [path for path in (out, picture) if path is not None]
    refuse_inputs(outputs, [*files, *given_files(body, regions, body_b, regions_b)])
    if picture is not None and picture.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise BadInput(f"--picture {picture}: expected .png or .jpg, got {picture.suffix or 'no ending'}")
    for path, is_ours in ((out, touch_files.is_touches), (picture, lambda _: False)):
        if path is not None:
            refuse_foreign(path, is_ours, "a result of apu touches", overwrite=overwrite)
    use_threads(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        first, second = touch_files.two_meshes(mesh_a, mesh_b)
        a = touch_files.side_of(first, body, regions)
        other = (body, regions) if body_b is None and regions_b is None else (body_b, regions_b)
        b = touch_files.side_of(second, *other)
        found = touch_files.find_touches(a, b, threshold)
    for line in dict.fromkeys(str(warning.message) for warning in caught):
        complain("touches", f"note: {line}")
    typer.echo(f"a: {first.name}, b: {second.name}; nearer than {100 * threshold:g} cm:")
    typer.echo(str(found))
    if out is not None:
        touch_files.write_touches(out, found, a, b)
    if picture is not None:
        touch_files.draw_touches(picture, found, a, b, files)
    if outputs:
        typer.echo(f"{', '.join(map(str, outputs))} written")


def unite(
    people: Annotated[
        list[Path],
        typer.Argument(metavar="SAM3D", help="SAM 3D Body's file, a folder, or files of one person each."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")],
    contact: Annotated[
        list[str],
        typer.Option(help="What touches: 'left hand: right shoulder', A's part first. May be repeated."),
    ],
    faces: Annotated[Path, typer.Option(help="Triangles of the meshes: mhr_face_mask.ply, or an .npy.")],
    pair: Annotated[tuple[int, int], typer.Option(metavar="A B", help="Which two, counted from 0.")] = (0, 1),
    regions: Annotated[
        Path | None, typer.Option(help="Region map of the meshes; else transferred from the free body.")
    ] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option(metavar="W H", help="Of the picture, to be checked.")
    ] = None,
    preset: Annotated[str, typer.Option(help="A preset's name, or its .json file.")] = "best",
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Bring two of SAM 3D Body's people into contact; their meshes stay as they are, the people move."""
    from apu_losses.app import unite_files

    with reading_input():
        touching = [unite_files.part_contact(words) for words in contact]
    refuse_foreign(out / "united.npz", lambda _: False, "a result", overwrite=overwrite)
    use_threads(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        done = unite_files.unite(people, pair, touching, faces, regions, size=size, preset=preset)
    for line in dict.fromkeys(str(warning.message) for warning in caught):
        complain("unite", f"note: {line}")
    table(("measurement", "start", "fitted"), done.rows())
    for file in done.save(out):
        typer.echo(f"  {file}")
