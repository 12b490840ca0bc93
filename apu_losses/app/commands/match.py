"""The commands `apu match` and `apu labels`."""

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
)
from apu_losses.app.console import complain


def match(
    mesh_a: Annotated[Path, typer.Argument(metavar="A", help="A mesh: .obj, .ply, .glb, .stl, .off, .npz.")],
    mesh_b: Annotated[Path, typer.Argument(metavar="B", help="The other, in the same frame.")],
    labels: Annotated[
        tuple[Path, Path],
        typer.Option(metavar="A B", help="Contact of each vertex: InteractVLM, DECO, HACO, contact heads."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The contact map to write, .json.")],
    answers: Annotated[
        Path | None, typer.Option(help="A contact map of what was said: it narrows what may match.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Probability from which a vertex is labelled.")] = 0.5,
    reach: Annotated[float, typer.Option(help="Metres between labels that match, at most.")] = 0.25,
    key: Annotated[str | None, typer.Option(help="Name of the array, where files have several.")] = None,
    row: Annotated[
        str | None, typer.Option(help="Which picture of many: a number, or the end of its name.")
    ] = None,
    body: MeshBody = None,
    regions: MeshRegions = None,
    body_b: OtherBody = None,
    regions_b: OtherRegions = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Make a contact map of what two people's contact heads say of each vertex."""
    from apu_losses.app import match_files, touch_files

    given = given_files(answers, body, regions, body_b, regions_b)
    refuse_inputs([out], [mesh_a, mesh_b, *labels, *given])
    refuse_foreign(out, match_files.is_map, "a contact map", overwrite=overwrite)
    with reading_input(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        first, second = touch_files.two_meshes(mesh_a, mesh_b)
        a = touch_files.side_of(first, body, regions)
        other = (body, regions) if body_b is None and regions_b is None else (body_b, regions_b)
        b = touch_files.side_of(second, *other)
        said = None if answers is None else match_files.read_map(answers)
        pair = tuple(
            match_files.labels_of(path, side, key, row) for path, side in zip(labels, (a, b), strict=True)
        )
        found = match_files.find_match(
            a, b, (pair[0], pair[1]), threshold=threshold, reach=reach, answers=said
        )
    for line in dict.fromkeys(str(warning.message) for warning in caught):
        complain("match", f"note: {line}")
    for name, each in zip("ab", pair, strict=True):
        typer.echo(f"{name}: {int(each.labels(threshold).sum())} of {len(each)} vertices ({each.key})")
    typer.echo(str(found))
    match_files.write_map(out, found.contacts)
    typer.echo(f"{out} written")


def labels(
    contacts: Annotated[
        Path, typer.Argument(metavar="MAP", help="A contact map, or what apu touches wrote.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz to write: contact_a, contact_b.")],
    regions: Annotated[
        Path | None, typer.Option(help="Region map of the body's topology; the free body's without it.")
    ] = None,
    regions_b: Annotated[Path | None, typer.Option(help="Of B, if it is of another topology.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Write a contact map as a weight for each vertex of either person: targets for a contact head."""
    from apu_contacts.regions import RegionMap
    from apu_losses.app import match_files

    refuse_inputs([out], [contacts, *given_files(regions, regions_b)])
    refuse_foreign(out, lambda _: False, "labels", overwrite=overwrite)
    with reading_input():
        first = RegionMap.load("free" if regions is None else regions)
        second = first if regions_b is None else RegionMap.load(regions_b)
        counts = match_files.write_labels(out, match_files.read_map(contacts), first, second)
    typer.echo(f"{out} written: {counts[0]} of {first.vertex_count} and {counts[1]} of {second.vertex_count}")
