"""The command `apu evaluate`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from apu_losses.app.console import BadInput, complain, progress_bar


def evaluate(
    protocol: Annotated[str, typer.Option(help="ntu, hi4d, chi3d or flickrci3d.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the data set, in its own layout.")] = None,
    fits: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]DIR", help="Folder with a fit a frame. May be repeated: methods."),
    ] = None,
    body: Annotated[str, typer.Option(help="Body of the fits: 'free', or your SMPLX_*.npz.")] = "free",
    kid_template: Annotated[
        Path | None, typer.Option(help="smplx_kid_template.npy, for fits with an age (BUDDI's).")
    ] = None,
    regions: Annotated[Path | None, typer.Option(help="Region map of that body.")] = None,
    regressor: Annotated[Path | None, typer.Option(help="SMPLX_to_J14.pkl: the published joints.")] = None,
    transfer: Annotated[
        Path | None,
        typer.Option(help="smpl2smplx_deftrafo_setup.pkl: from SMPL (Hi4D, BEV) to the body's mesh."),
    ] = None,
    pseudo_truth: Annotated[
        Path | None, typer.Option(help="flickrci3d: folder of fits that stand in for true joints.")
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="ntu: file of frames, RECORDING_FRAME a line.")] = None,
    split: Annotated[
        str | None, typer.Option(help="ntu: subject, setup or all; flickrci3d: test or train.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--class", help="ntu: another class. May be repeated.")
    ] = None,
    subject: Annotated[
        list[str] | None, typer.Option(help="hi4d, chi3d: another pair (00, s03). May be repeated.")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="hi4d: number or 'mono'; chi3d: name.")] = None,
    every: Annotated[int, typer.Option(min=1, help="hi4d: every so many contact frames.")] = 5,
    one_pair: Annotated[bool, typer.Option("--one-pair", help="flickrci3d: pictures with one pair.")] = False,
    order: Annotated[
        str | None, typer.Option(help="Who is who: given, or either (the better); else the protocol's.")
    ] = None,
    penetration: Annotated[bool, typer.Option(help="Measure penetration, too.")] = True,
    resamples: Annotated[int, typer.Option(min=1, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    format: Annotated[str, typer.Option(help="text, markdown, latex or json.")] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; else it is printed.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Measure fits by a protocol of the paper; print the field's tables with the own rows.

    Without --data and --fits, the published tables alone.
    """
    from apu_contacts.files import refuse_foreign, refuse_inputs, write_text
    from apu_losses.evaluation import FORMATS, Choice, Resampling, evaluate_fits
    from apu_losses.evaluation.protocols import protocol_of
    from apu_losses.evaluation.report import is_report, published_report

    rules = protocol_of(protocol)
    if format not in FORMATS:
        raise BadInput(f"--format must be one of {', '.join(FORMATS)}, got {format!r}")
    if order not in (None, "given", "either"):
        raise BadInput(f"--order must be given or either, got {order!r}")
    methods = _methods(fits or [])
    if (data is None) != (not methods):
        raise BadInput(
            f"--data and --fits go together; {protocol} needs a folder with {rules.expects}, and one with a "
            "fit a frame"
        )
    given = [path for path in (kid_template, regions, regressor, transfer, frames) if path is not None]
    if out is not None:
        refuse_inputs([out], given)
        refuse_foreign(out, is_report, "a report of apu evaluate", overwrite=overwrite)
    if data is None:
        report = published_report(protocol, format)
    else:
        from apu_losses.bodies import load_body
        from apu_losses.bodies.region_map import region_map_for

        model = load_body(body, kid_template=kid_template)
        with warnings.catch_warnings(record=True) as caught:
            region_map = region_map_for(model, regions)
        for warning in caught:
            complain("evaluate", f"note: {warning.message}")
        choice = Choice(
            model,
            frames=frames,
            split=split,
            classes=group,
            subjects=subject,
            camera=camera,
            every=every,
            transfer=transfer,
            one_pair=one_pair,
        )
        with progress_bar() as tell:
            found = evaluate_fits(
                protocol,
                data,
                methods,
                choice=choice,
                regions=region_map,
                regressor=regressor,
                pseudo_truth=pseudo_truth,
                order=order,  # type: ignore[arg-type]
                penetration=penetration,
                resampling=Resampling(resamples, seed),
                progress=tell,
            )
        report = found.write(format)
    if out is None:
        typer.echo(report, nl=False)
    else:
        write_text(out, report)
        typer.echo(f"{out} written")


def _methods(given: list[str]) -> dict[str, Path]:
    """Folders by the names of their methods; a folder without one is called by its own name."""
    methods: dict[str, Path] = {}
    for text in given:
        name, mark, folder = text.partition("=")
        path = Path(folder if mark else text)
        called = name if mark else path.resolve().name
        if not called or not str(path):
            raise BadInput(f"--fits must be DIR or NAME=DIR, got {text!r}")
        if called in methods:
            raise BadInput(f"--fits: two methods are called {called!r}; give them names: NAME=DIR")
        methods[called] = path
    return methods
