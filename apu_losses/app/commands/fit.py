"""The commands `apu demo`, `apu fit` and `apu presets`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from apu_contacts.files import refuse_foreign, refuse_inputs
from apu_losses.app.commands.common import OVERWRITE, given_files, known_device, reading_input, use_threads
from apu_losses.app.console import BadInput, complain, progress_bar, say_when_interrupted, table

if TYPE_CHECKING:
    from apu_losses.fitting import FitResult, Scene


class TwoWords(TyperCommand):
    """A command whose ``--person 1 child`` takes two words, which typer cannot say of a list."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the two words before typer reads them."""
        joined: list[str] = []
        words = iter(args)
        for word in words:
            joined.append(word)
            if word == "--person":
                number, said = next(words, None), next(words, None)
                joined += [" ".join(one for one in (number, said) if one is not None)] if number else []
        return super().parse_args(ctx, joined)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("apu_demo"),
    preset: Annotated[str, typer.Option(help="A preset's name, or its .json file.")] = "best",
    film: Annotated[bool, typer.Option("--film", help="Leave a film of the fit, too: film.webp.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Fit the bundled scene on the free body; leave pictures, meshes and parameters."""
    from apu_losses.fitting import load_preset

    load_preset(preset)
    from apu_losses.app.demo import run_demo
    from apu_losses.viz.table import measurement_rows

    use_threads(1)

    with progress_bar() as tell:
        done = run_demo(out, preset=preset, film=film, progress=tell, overwrite=overwrite)
    table(("measurement", "start", "fitted"), measurement_rows(done.scene, done.result))
    typer.echo(f"{_verdict(done.result)} ({done.result.iterations} steps, {done.result.seconds:.0f} s)")
    for file in done.files:
        typer.echo(f"  {file}")


def fit(
    scene: Annotated[
        Path, typer.Argument(metavar="SCENE.json|DIR|SCENES.jsonl", help="A scene, a folder, or one a line.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    preset: Annotated[str, typer.Option(help="A preset's name, or its .json file.")] = "best",
    body: Annotated[str, typer.Option(help="'free', or the path of your SMPLX_*.npz.")] = "free",
    regions: Annotated[Path | None, typer.Option(help="Region map of that body.")] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")] = "cpu",
    pictures: Annotated[bool, typer.Option(help="Draw the people before and after.")] = True,
    log: Annotated[
        Path | None, typer.Option(help="Write the loss of each scene, iteration and term: JSON lines.")
    ] = None,
    film: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Film each scene's fit: FOLDER/NAME.webp.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, help="CPU threads; more pay off for large batches only.")
    ] = 1,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Scenes fitted at once; results are written after each batch.")
    ] = 32,
    person: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER WORDS",
            help="What is known of a person's size: --person 1 child, --person 0 1.8m. May be repeated.",
        ),
    ] = None,
    hypotheses: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Starts tried of each scene: who is in front, and arms and legs mirrored in depth; "
            "8 take about ten times as long. The preset's own if left out.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Fit bodies to scenes; leave parameters, a record, meshes and a picture of each.

    Results that are there already, of the same scene by the same preset, are kept and not computed again.
    """
    from apu_losses.bodies import load_body
    from apu_losses.bodies.region_map import region_map_for
    from apu_losses.fitting import SceneFitter, load_preset
    from apu_losses.fitting.start.said import SAY_SO
    from apu_losses.generate.fit_files import fit_scenes, load_scenes

    use_threads(threads)
    if scene.is_dir() and out.resolve() == scene.resolve():
        raise BadInput(f"--out {out}: results would lie among the scenes; name another folder")
    model = load_body(body, device=known_device(device))
    found = load_scenes(scene, model)
    scenes = _sized(found.scenes, person or ())
    with warnings.catch_warnings(record=True) as caught:
        region_map = region_map_for(model, regions)
    chosen = load_preset(preset)
    if hypotheses is not None:
        chosen = replace(chosen, hypotheses=hypotheses)
    fitter = SceneFitter(model, regions=region_map, preset=chosen, device=device, batch_size=batch_size)
    for warning in caught:
        complain("fit", f"note: {warning.message}")
    say_when_interrupted(lambda: f"interrupted; what is done is in {out}, the same command goes on from it")
    with progress_bar() as tell:
        summary = fit_scenes(
            scenes,
            fitter,
            out,
            pictures=pictures,
            progress=tell,
            log=log,
            films=film,
            inputs=[*found.inputs, *given_files(preset, body, regions)],
            overwrite=overwrite,
        )
    header = ("scene", "verdict", "parts within 2 cm", "region pairs", "keypoint error, px", "inside")
    table(header, [_summary(name, record) for name, record in summary.records.items()])
    loud = _without_contacts(found.scenes)
    if loud:
        complain("fit", f"warning: {loud}")
    for name, record in summary.records.items():
        for note in record.get("notes", ()):
            if note.endswith(SAY_SO):
                complain("fit", f"warning: {name}: {note}")
    unwritten = [f"{name}: results not written: {why}" for name, why in summary.unwritten.items()]
    for problem in [*found.unusable, *unwritten, *summary.notes]:
        complain("fit", f"note: {problem}")
    there = f" ({len(summary.kept)} were there already)" if summary.kept else ""
    typer.echo(f"results in {out}{there}" + (f", films in {film}" if film else ""))
    if summary.failed or found.unusable:
        raise typer.Exit(1)


def presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A preset, or a .json file.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the preset.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """List the presets of a fit, or print one as JSON, to be changed and given to `fit --preset`."""
    import json

    from apu_losses.fitting import PRESET_NAMES, load_preset

    if name is None:
        table(("preset", "what it is"), [(known, load_preset(known).description) for known in PRESET_NAMES])
        return
    with reading_input():
        preset = load_preset(name)
    if out is None:
        typer.echo(json.dumps(preset.to_dict(), indent=1))
        return
    refuse_inputs([out], given_files(name))
    # one that was changed is the user's
    refuse_foreign(out, _is_bundled, "an unchanged preset", overwrite=overwrite)
    preset.save(out)
    typer.echo(f"{out} written")


def _sized(scenes: Mapping[str, Scene], said: Sequence[str]) -> dict[str, Scene]:
    """Return the scenes with what `--person` says of people: ``["1 child"]``."""
    from apu_losses.fitting import with_people_said

    if not said:
        return dict(scenes)
    words: dict[int, str] = {}
    for one in said:
        number, _, rest = one.partition(" ")
        if not number.isdigit() or not rest.strip():
            raise BadInput(f"--person {one}: a number and a word are expected, such as --person 1 child")
        words[int(number)] = f"{words.get(int(number), '')} {rest}".strip()
    try:
        return {name: with_people_said(scene, words) for name, scene in scenes.items()}
    except ValueError as error:
        raise BadInput(f"--person: {error}") from None


def _verdict(result: FitResult) -> str:
    return f"{'kept' if result.verdict.kept else 'rejected'}: {result.verdict.reason}"


def _summary(name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of `fit`, from what the scene's record says."""
    from apu_losses.generate.page import before_and_after, largest, share_near, verdict

    inside = (str(record[when]["inside_vertices"]) for when in ("before", "after"))
    return (
        name,
        verdict(record),
        before_and_after(record, "part_distance", share_near),
        before_and_after(record, "contact_distance", share_near),
        before_and_after(record, "keypoint_error", largest),
        " to ".join(inside),
    )


def _without_contacts(scenes: Mapping[str, Scene]) -> str:
    """Return what is to be said of scenes that were fitted without any contact: nothing pulled people
    together.
    """
    bare = [name for name, scene in scenes.items() if not any(len(c.contacts) for c in scene.contacts)]
    if not bare:
        return ""
    open_pairs = sum(c.evidence is None for name in bare for c in scenes[name].contacts)
    which = "no scene has a contact" if len(bare) == len(scenes) else f"{len(bare)} scenes have no contact"
    some = f" ({', '.join(bare[:3])}{', ...' if len(bare) > 3 else ''})"
    asking = (
        f"; nobody was asked about {open_pairs} of their pairs: `apu ask SCENES.jsonl -o ANSWERS.jsonl` "
        "asks, `apu contacts SCENES.jsonl ANSWERS.jsonl -o SCENES2.jsonl` puts the answers in"
        if open_pairs
        else ""
    )
    return f"{which}{some}: nothing pulled these people together{asking}"


def _is_bundled(path: Path) -> bool:
    from apu_losses.fitting import PRESET_NAMES, load_preset

    return any(load_preset(path) == load_preset(name) for name in PRESET_NAMES)
