"""The commands `apu regions` and `apu map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apu_contacts.files import refuse_foreign, refuse_inputs
from apu_losses.app.commands.common import OVERWRITE, reading_input
from apu_losses.app.console import table


def regions(
    which: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Id (0 to 74) or name of a region.")
    ] = None,
    parts: Annotated[bool, typer.Option("--parts", help="List the 17 body parts instead.")] = False,
) -> None:
    """Explain one of the 75 surface regions, or list them all."""
    from apu_contacts.regions import PARTS, REGIONS, RegionMap, part_regions

    if which is not None:
        with reading_input():
            typer.echo(RegionMap.load("free").explain(which))
        return
    if parts:
        rows = [(name, *(_ids(part_regions(name, side)) for side in ("left", "right"))) for name in PARTS]
        table(("part", "left", "right"), rows)
        return
    sizes = RegionMap.load("free").sizes
    table(
        ("id", "name", "side", "mirror", "part", "vertices"),
        [(r.id, r.name, r.side, r.mirror, r.part, sizes[r.id]) for r in REGIONS],
    )


def _ids(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids))


def map_(
    regions: Annotated[
        Path, typer.Argument(metavar="MAP", help="A region map, or the official contact_regions.json.")
    ],
    mapping: Annotated[
        Path, typer.Option(help="Where the new mesh's vertices lie on the map's: smplx2mhr_mapping.npz.")
    ],
    faces: Annotated[
        Path, typer.Option(help="Triangles of the map's own mesh: your SMPLX_*.npz, a mesh, or an .npy.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The region map to write: .npz or .json.")],
    topology: Annotated[str | None, typer.Option(help="Name of the new mesh; else the mapping's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Carry the 75 regions to another mesh by a mapping, such as the official ones to MHR: no fitting."""
    from apu_losses.app.map_files import carry_map, is_map

    refuse_inputs([out], [regions, mapping, faces])
    refuse_foreign(out, is_map, "a region map", overwrite=overwrite)
    moved = carry_map(regions, mapping, faces, topology)
    moved.regions.save(out)
    reasons = ", ".join(f"{count} {why}" for why, count in moved.counts.items() if count) or "none"
    table(
        ("topology", "vertices", "unsure", "fewest in a region"),
        [(moved.regions.topology, len(moved.unsure), reasons, int(moved.regions.sizes.min()))],
    )
    typer.echo(f"{out} written")
