"""The command `apu`: it reads arguments, calls the library and prints. What it computes lives elsewhere.

Exit codes: 0 done; 1 something could not be done (a problem that `doctor` found, a scene that `fit` could not
fit, an image that `detect` or `propose` could not read, a question that `ask` got no answer to, a text that
`parse` could not read whole); 2 bad input, with one line on standard error; 130 interrupted (143 by SIGTERM),
what was done is kept.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from apu_contacts.files import refuse_foreign, refuse_inputs
from apu_losses.app.console import EXPECTED, BadInput, Group, in_words, run, say_when_interrupted
from apu_losses.app.console import complain as _complain
from apu_losses.app.console import progress_bar as _progress
from apu_losses.app.console import table as _table
from apu_losses.app.dataset import audit, dataset
from apu_losses.app.evaluate import evaluate
from apu_losses.app.generate import generate
from apu_losses.app.train_prior import train_prior

if TYPE_CHECKING:
    from apu_contacts.asking.queries import PairQuery
    from apu_losses.fitting import FitResult, Scene
    from apu_losses.fitting.convert import Conversion

app = typer.Typer(
    name="apu",
    help="From a photograph of people touching to 3D meshes that touch where the people do.",
    cls=Group,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_OVERWRITE = "Replace what is there under these names, whatever it is."


@contextmanager
def _input() -> Iterator[None]:
    """Errors raised while the user's input is read are the user's to mend: one line, no traceback."""
    try:
        yield
    except EXPECTED as error:
        raise BadInput(in_words(error)) from error


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


class _TwoWords(TyperCommand):
    """A command whose ``--person 1 child`` takes two words, which typer cannot say of a list."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        joined: list[str] = []
        words = iter(args)
        for word in words:
            joined.append(word)
            if word == "--person":
                number, said = next(words, None), next(words, None)
                joined += [" ".join(one for one in (number, said) if one is not None)] if number else []
        return super().parse_args(ctx, joined)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("apu_demo"),
    preset: Annotated[str, typer.Option(help="A preset's name, or its .json file.")] = "best",
    film: Annotated[bool, typer.Option("--film", help="Leave a film of the fit, too: film.webp.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Fit the bundled scene on the free body; leave pictures, meshes and parameters."""
    from apu_losses.fitting import load_preset

    load_preset(preset)
    from apu_losses.app.demo import run_demo
    from apu_losses.viz.table import measurement_rows

    _use_threads(1)

    with _progress() as tell:
        done = run_demo(out, preset=preset, film=film, progress=tell, overwrite=overwrite)
    _table(("measurement", "start", "fitted"), measurement_rows(done.scene, done.result))
    typer.echo(f"{_verdict(done.result)} ({done.result.iterations} steps, {done.result.seconds:.0f} s)")
    for file in done.files:
        typer.echo(f"  {file}")


@app.command(cls=_TwoWords)
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Fit bodies to scenes; leave parameters, a record, meshes and a picture of each.

    Results that are there already, of the same scene by the same preset, are kept and not computed again.
    """
    from apu_losses.bodies import load_body
    from apu_losses.bodies.region_map import region_map_for
    from apu_losses.fitting import SceneFitter, load_preset
    from apu_losses.fitting.start.said import SAY_SO
    from apu_losses.generate.fit_files import fit_scenes, load_scenes

    _use_threads(threads)
    if scene.is_dir() and out.resolve() == scene.resolve():
        raise BadInput(f"--out {out}: results would lie among the scenes; name another folder")
    model = load_body(body, device=_device(device))
    found = load_scenes(scene, model)
    scenes = _sized(found.scenes, person or ())
    with warnings.catch_warnings(record=True) as caught:
        region_map = region_map_for(model, regions)
    chosen = load_preset(preset)
    if hypotheses is not None:
        chosen = replace(chosen, hypotheses=hypotheses)
    fitter = SceneFitter(model, regions=region_map, preset=chosen, device=device, batch_size=batch_size)
    for warning in caught:
        _complain("fit", f"note: {warning.message}")
    say_when_interrupted(lambda: f"interrupted; what is done is in {out}, the same command goes on from it")
    with _progress() as tell:
        summary = fit_scenes(
            scenes,
            fitter,
            out,
            pictures=pictures,
            progress=tell,
            log=log,
            films=film,
            inputs=[*found.inputs, *_given_files(preset, body, regions)],
            overwrite=overwrite,
        )
    header = ("scene", "verdict", "parts within 2 cm", "region pairs", "keypoint error, px", "inside")
    _table(header, [_summary(name, record) for name, record in summary.records.items()])
    loud = _without_contacts(found.scenes)
    if loud:
        _complain("fit", f"warning: {loud}")
    for name, record in summary.records.items():
        for note in record.get("notes", ()):
            if note.endswith(SAY_SO):
                _complain("fit", f"warning: {name}: {note}")
    unwritten = [f"{name}: results not written: {why}" for name, why in summary.unwritten.items()]
    for problem in [*found.unusable, *unwritten, *summary.notes]:
        _complain("fit", f"note: {problem}")
    there = f" ({len(summary.kept)} were there already)" if summary.kept else ""
    typer.echo(f"results in {out}{there}" + (f", films in {film}" if film else ""))
    if summary.failed or found.unusable:
        raise typer.Exit(1)


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


def _given_files(*values: object) -> list[Path]:
    """Those of some options' values that are files: a preset, a body or a region map of the user's own."""
    return [Path(str(value)) for value in values if value is not None and Path(str(value)).is_file()]


app.command()(evaluate)
app.command()(generate)
app.command()(audit)
app.add_typer(dataset, name="dataset")
app.command("train-prior")(train_prior)


@app.command("run")
def run_all(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Pictures, folders of them, or a .jsonl that lists them.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything; goes on with it.")] = Path(
        "apu_run"
    ),
    model: Annotated[str | None, typer.Option(help="Name of the model, as the server knows it.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Server with /v1.")] = None,
    config: Annotated[Path | None, typer.Option(help="All options: a .toml, as a run leaves it.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One option: fit.preset=paper. May be repeated.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Starts: auto, keypoints or estimate.")] = None,
    preset: Annotated[str | None, typer.Option(help="A preset's name, or its .json file.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop before the first question; say what would be asked.")
    ] = False,
) -> None:
    """From photographs to meshes that touch: detect, propose, ask, resolve, fit, judge; and a page of it.

    Files of keypoints and of estimators that lie beside a picture are used. Run again to go on where it was.
    """
    from apu_contacts.asking import AskInterrupted
    from apu_contacts.asking.commands import summary_lines
    from apu_losses.generate.config import RunConfig, changes_of
    from apu_losses.generate.page import COLUMNS
    from apu_losses.generate.run import run

    with _input():
        if not images:
            raise ValueError("run needs pictures, or a folder of them")
        settings = RunConfig() if config is None else RunConfig.load(config)
        settings = settings.changed(changes_of(settings, set_ or []))
        given = {"ask": {"model": model, "base_url": base_url}}
        given |= {"propose": {"start": start}, "fit": {"preset": preset}}
        settings = settings.changed(
            {part: {k: v for k, v in values.items() if v is not None} for part, values in given.items()}
        )
    _use_threads(settings.fit.threads)
    say_when_interrupted(lambda: f"interrupted; what is done is in {out}, the same command goes on from it")
    with _progress() as tell:
        try:
            done = run(images, out, settings, dry_run=dry_run, progress=tell)
        except AskInterrupted as interrupted:
            for line in summary_lines(interrupted.summary):
                typer.echo(line)
            raise typer.Exit(128 + interrupted.number) from None
    if done.detector:
        typer.echo(f"detector: {done.detector}")
    for note in done.notes:
        _complain("run", f"note: {note}")
    if done.dry is not None:
        _table(("what", "number"), done.dry.rows())
        return
    if done.asked is not None:
        for line in summary_lines(done.asked):
            typer.echo(line)
    if done.contacts is not None:
        _table(("what", "number"), done.contacts.rows())
    _table(COLUMNS, done.rows())
    typer.echo(f"{out / 'index.html'} shows each; meshes and records are in {out / 'fits'}")
    if done.incomplete:
        raise typer.Exit(1)


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A preset, or a .json file.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the preset.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """List the presets of a fit, or print one as JSON, to be changed and given to `fit --preset`."""
    import json

    from apu_losses.fitting import PRESET_NAMES, load_preset

    if name is None:
        _table(("preset", "what it is"), [(known, load_preset(known).description) for known in PRESET_NAMES])
        return
    with _input():
        preset = load_preset(name)
    if out is None:
        typer.echo(json.dumps(preset.to_dict(), indent=1))
        return
    refuse_inputs([out], _given_files(name))
    # one that was changed is the user's
    refuse_foreign(out, _is_bundled, "an unchanged preset", overwrite=overwrite)
    preset.save(out)
    typer.echo(f"{out} written")


def _is_bundled(path: Path) -> bool:
    from apu_losses.fitting import PRESET_NAMES, load_preset

    return any(load_preset(path) == load_preset(name) for name in PRESET_NAMES)


@app.command()
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
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

    refuse_inputs([out], [parameters, *_given_files(to, source)])
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
    _table(header, rows)


@app.command()
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
        with _input():
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


@app.command()
def ask(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SCENES.jsonl|PICTURES",
            help="Scenes: each pair is asked about; or pictures of two people.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File of answers; what it has stays.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the model, as the server knows it.")] = "",
    base_url: Annotated[
        str | None, typer.Option(help="Server with /v1; OPENAI_BASE_URL or OpenAI's own if left out.")
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the server's key.")
    ] = "OPENAI_API_KEY",
    samples: Annotated[int, typer.Option(min=1, help="Answers a picture; more need a temperature.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, help="Questions at the same time.")] = 4,
    temperature: Annotated[float, typer.Option(help="0: the likeliest answer; samples need more.")] = 0.0,
    action: Annotated[str | None, typer.Option(help="Known label of the interaction.")] = None,
    example: Annotated[bool, typer.Option(help="Show an example before the question.")] = True,
    attributes: Annotated[
        bool,
        typer.Option("--attributes", help="Ask for age group, sex, build, who is taller and in front, too."),
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder of answers that are not asked again.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for a whole answer.")] = 300.0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts after a failed one.")] = 5,
    answer_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer; models that think need more.")
    ] = 2000,
    format: Annotated[
        str,
        typer.Option(help="Answer's format: json_schema, json_schema_unbounded, json_object or none."),
    ] = "json_schema",
    length_field: Annotated[
        str | None,
        typer.Option(help="How the server calls --answer-tokens: max_tokens or max_completion_tokens."),
    ] = None,
    max_calls: Annotated[int | None, typer.Option(help="Stop after this many calls.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Stop after this many tokens in all.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="Stop after this much money; needs a price.")] = None,
    price_in: Annotated[float, typer.Option(help="Price of a million tokens asked.")] = 0.0,
    price_out: Annotated[float, typer.Option(help="Price of a million tokens answered.")] = 0.0,
    again: Annotated[
        list[str] | None,
        typer.Option(help="Ask anew what was: empty, unreadable, refused. May be repeated."),
    ] = None,
    picture_format: Annotated[str, typer.Option(help="How crops are sent: jpeg or png.")] = "jpeg",
    repair: Annotated[
        bool, typer.Option("--repair", help="Ask once more where an answer of a scene was not read whole.")
    ] = False,
    batch_out: Annotated[
        Path | None, typer.Option(help="Write batch files here and ask nobody; what -o has is left out.")
    ] = None,
    batch_in: Annotated[list[Path] | None, typer.Option(help="Take answers from a batch's results.")] = None,
    batch_questions: Annotated[
        list[Path] | None,
        typer.Option(help="NAME.questions.jsonl of --batch-out, if not beside the results or the answers."),
    ] = None,
) -> None:
    """Ask a vision language model which body parts touch; the key comes from the environment.

    Of scenes (`apu propose`) each pair is asked about by itself: the picture is cropped to the two, and the
    others are dimmed.
    """
    from apu_contacts.asking import commands

    with _input():
        if batch_in is None and not (pictures and model):
            raise ValueError("ask needs pictures and --model")
        if batch_out is None and out is None:
            raise ValueError("ask needs -o FILE for the answers, or --batch-out")
        if batch_in is not None and (pictures or batch_out):
            given = f"got {pictures[0]}" if pictures else "got --batch-out"
            raise ValueError(
                f"--batch-in asks nothing, and takes no pictures: {given}; a further file of results "
                "has a --batch-in of its own"
            )
        options = commands.AskOptions(
            model,
            base_url,
            api_key_env,
            samples=samples,
            parallel=parallel,
            action=action,
            example=example,
            attributes=attributes,
            cache=cache,
            temperature=temperature,
            again=tuple(again or ()),
            picture_format=picture_format,
            timeout=timeout,
            max_retries=retries,
            answer_tokens=answer_tokens,
            format=format,
            length_field=length_field,
            max_calls=max_calls,
            max_tokens=max_tokens,
            max_cost=max_cost,
            price_in=price_in,
            price_out=price_out,
        )
        queries, problems = _questions(pictures or [], action, attributes)
        for problem in problems:
            _complain("ask", f"note: {problem}")
        if repair and (batch_out or batch_in):
            raise ValueError("--repair asks at once, and a batch does not: leave it out, and give it later")
        if batch_out is not None:
            written = commands.write_query_requests(queries, batch_out, options, out)
            for path in written.paths:
                typer.echo(str(path))
            for line in commands.batch_lines(written):
                _complain("ask", f"note: {line}")
            raise typer.Exit(1 if written.failures else 0)
        if out is None:
            return
        say_when_interrupted(lambda: f"interrupted; the answers that had come are in {out}")
        try:
            if batch_in is not None:
                summary = commands.collect_results(batch_in, out, batch_questions)
            else:
                from apu_losses.generate.ask import ask_pairs

                with _progress() as tell:
                    summary = ask_pairs(
                        queries,
                        out,
                        options,
                        repair=repair,
                        progress=lambda done, total: tell(done / total, f"{done} of {total}"),
                    )
        except commands.AskInterrupted as interrupted:
            for line in commands.summary_lines(interrupted.summary):
                typer.echo(line)
            raise typer.Exit(128 + interrupted.number) from None
    for line in commands.summary_lines(summary):
        typer.echo(line)
    if not summary.complete:
        raise typer.Exit(1)


def _questions(
    given: Sequence[Path], action: str | None, attributes: bool
) -> tuple[list[PairQuery], list[str]]:
    """Return the questions about scenes, or about whole pictures; and what is left out."""
    from apu_contacts.asking.commands import left_out_note
    from apu_contacts.asking.queries import image_queries

    scenes = [path for path in given if path.suffix in (".jsonl", ".json")]
    if not scenes:
        return image_queries(given, action, attributes=attributes), list(filter(None, [left_out_note(given)]))
    if len(scenes) < len(given):
        other = next(path for path in given if path not in scenes)
        raise ValueError(f"ask takes scenes or pictures, not both: got {scenes[0]} and {other}")
    from apu_losses.generate import scene_queries
    from apu_losses.generate.files import read_scenes

    found = [scene for path in scenes for scene in read_scenes(path)]
    queries, problems = scene_queries(found, action, attributes=attributes)
    if not queries:
        why = problems[0] if problems else "no scene has a pair of people; `apu propose` finds them"
        raise ValueError(f"{scenes[0]}: nothing to ask: {why}")
    return queries, problems


@app.command()
def contacts(
    scenes: Annotated[Path, typer.Argument(metavar="SCENES.jsonl", help="Scenes, as `propose` writes them.")],
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS.jsonl", help="What `ask` got about them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the scenes with contacts.")],
    policy: Annotated[
        str, typer.Option(help="How answers become contacts: 'best', 'paper', or a .json file.")
    ] = "best",
    starts: Annotated[
        str,
        typer.Option(
            help="What answers tell starts from keypoints: 'all', 'contacts' (parts that touch are at one "
            "depth) or 'none'."
        ),
    ] = "all",
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Put answers into scenes: fused, who is meant, sides repaired; each pair with what it rests on.

    People who started from their keypoints alone start once more, with what the answers say.
    """
    from apu_losses.generate.config import load_policy
    from apu_losses.generate.files import contacts_file
    from apu_losses.generate.said import check_from_answers

    with _input():
        check_from_answers(starts)
    with _progress() as tell:
        report = contacts_file(
            scenes,
            answers,
            out,
            load_policy(policy),
            from_answers=starts,  # type: ignore[arg-type]  # checked above
            progress=tell,
            overwrite=overwrite,
        )
    for problem in report.problems:
        _complain("contacts", f"note: {problem}")
    _table(("scene", "people", "what is known"), report.pairs_in_words)
    _table(("what", "number"), report.rows())
    typer.echo(f"{out} written")
    if report.problems:
        raise typer.Exit(1)


@app.command()
def parse(file: Annotated[Path, typer.Argument(help="Text that a model wrote.")]) -> None:
    """Explain how a model's answer is read: contacts, repairs, and what no rule accounts for."""
    from apu_contacts.asking.commands import parse_file

    with _input():
        explanation, whole = parse_file(file)
    typer.echo(explanation)
    if not whole:
        raise typer.Exit(1)


@app.command()
def detect(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .jsonl to write; keypoints go beside it.")],
    model: Annotated[
        str,
        typer.Option(help="wholebody (133 keypoints), feet (26) or body (17); also with -small or -large."),
    ] = "wholebody",
    person_weights: Annotated[
        str | None, typer.Option(help="Your own YOLOX: path or address, with #sha256=... to check it.")
    ] = None,
    pose_weights: Annotated[str | None, typer.Option(help="Your own RTMPose, likewise.")] = None,
    score_scale: Annotated[
        float | None, typer.Option(help="Which score of the pose model means certain.")
    ] = None,
    min_box_score: Annotated[float, typer.Option(help="Below this a box is nobody.")] = 0.3,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")] = "cpu",
    detector: Annotated[
        str,
        typer.Option(help="'pose' (rtmlib), 'mediapipe', or 'auto': the first of these that is installed."),
    ] = "auto",
    estimates: Annotated[
        list[str] | None,
        typer.Option(help="Files of an estimator to list too: bev=FOLDER/{name}.npz. May be repeated."),
    ] = None,
) -> None:
    """Find people and their keypoints in pictures; write the list that `propose` reads."""
    with _input():
        from apu_contacts.detect import (
            chosen_detector,
            detect_pictures,
            find_pictures,
            named_models,
            open_detector,
        )
        from apu_contacts.detect.models import own_models
        from apu_contacts.images import left_out, left_out_words

        found = find_pictures(pictures)
        patterns = _patterns(estimates or [])
        used = chosen_detector(detector, own_weights=bool(person_weights or pose_weights))
        with _progress() as tell:
            models = None
            if used == "pose":
                others = None if person_weights and pose_weights else named_models(model)
                models = own_models(person_weights, pose_weights, others)
                if score_scale is not None:
                    models = replace(models, score_scale=score_scale)
            find = open_detector(
                detector if models is None else "pose",
                models=models,
                device=device,
                min_box_score=min_box_score,
                progress=tell,
            )
            summary = detect_pictures(found, find, out, estimates=patterns, progress=tell)
    typer.echo(f"detector: {used}")
    for problem in filter(None, [left_out_words(left_out(pictures)), *summary.unread]):
        _complain("detect", f"note: {problem}")
    _table(("what", "number"), summary.rows())
    typer.echo(f"{out} written")
    if summary.unread:
        raise typer.Exit(1)


def _patterns(given: Sequence[str]) -> dict[str, str]:
    """KIND=PATH of the command line by kind."""
    if not given:
        return {}
    from apu_losses.fitting.propose.scenes import ESTIMATE_KINDS

    patterns = dict(text.partition("=")[::2] for text in given)
    for kind, path in patterns.items():
        if kind not in ESTIMATE_KINDS or not path:
            raise ValueError(f"--estimates must be KIND=PATH, KIND one of {', '.join(ESTIMATE_KINDS)}")
    return patterns


@app.command()
def propose(
    detections: Annotated[
        Path,
        typer.Argument(
            metavar="DETECTIONS",
            help="A folder an image, a folder of such folders, or a .jsonl that names them.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the scenes, one a line.")],
    min_keypoints: Annotated[
        int, typer.Option(min=1, help="Keypoints of each person that must be near the other.")
    ] = 3,
    max_distance: Annotated[float, typer.Option(help="What is near, as a share of the people's size.")] = 0.2,
    max_mesh_error: Annotated[
        float, typer.Option(help="How far a body may be from its keypoints, as a share of the person's size.")
    ] = 0.15,
    max_gap: Annotated[
        float | None, typer.Option(help="Metres between two bodies from which a pair is rejected.")
    ] = None,
    body: Annotated[
        str, typer.Option(help="Poses estimates without 3D joints: 'free', or your SMPLX_*.npz.")
    ] = "free",
    score_scale: Annotated[
        float,
        typer.Option(min=1e-6, help="What keypoint scores are divided by: RTMPose's SimCC gives up to 6."),
    ] = 1.0,
    start: Annotated[
        str,
        typer.Option(
            help="What people without an estimate start from: their 'keypoints', or only an 'estimate'."
        ),
    ] = "keypoints",
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Find the pairs of people who may be touching; write a scene for each image that has one."""
    from dataclasses import replace
    from functools import cache

    from apu_losses.bodies import load_body
    from apu_losses.fitting import ProposalReport, find_images
    from apu_losses.fitting.propose.file import propose_file

    # what a manifest says of one image or file counts before what is said for all
    images = [
        replace(files, score_scale={"*": score_scale, **files.score_scale})
        for files in find_images(detections)
    ]
    options = {
        "min_keypoints": min_keypoints,
        "max_distance": max_distance,
        "max_mesh_error": max_mesh_error,
        "max_gap": max_gap,
    }
    _use_threads(1)
    report = ProposalReport()
    say_when_interrupted(
        lambda: f"interrupted; {report.images} of {len(images)} images are done, and the same command goes on"
    )
    with _progress() as tell:
        count = propose_file(
            images,
            out,
            body=cache(lambda: load_body(body)),
            body_name=body,
            report=report,
            progress=tell,
            inputs=[detections, *_given_files(body)],
            overwrite=overwrite,
            start=start,  # type: ignore[arg-type]
            **options,
        )
    for note in report.notes:
        _complain("propose", f"note: {note}")
    _table(("what", "number"), report.rows())
    if report.failed:
        rows = [(name, why) for name, reasons in report.failed.items() for why in reasons]
        _table(("image", "could not be read"), rows)
    typer.echo(f"{count} scene{'s' if count != 1 else ''} in {out}")
    if report.notes:
        raise typer.Exit(1)


@app.command()
def touches(
    mesh_a: Annotated[Path, typer.Argument(metavar="A", help="A mesh: .obj, .ply, .glb, .stl, .off, .npz.")],
    mesh_b: Annotated[
        Path | None, typer.Argument(metavar="[B]", help="Another; left out, A holds the two.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The .json to write.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw both bodies: .png or .jpg.")] = None,
    threshold: Annotated[float, typer.Option(help="Metres below which two regions touch.")] = 0.02,
    body: Annotated[
        str | None, typer.Option(help="Your SMPLX_*.npz, if the meshes are not of the free body.")
    ] = None,
    regions: Annotated[Path | None, typer.Option(help="Region map of their topology.")] = None,
    body_b: Annotated[str | None, typer.Option(help="Of B, if it is of another topology.")] = None,
    regions_b: Annotated[Path | None, typer.Option(help="Likewise.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Say which body parts of two meshes touch, how near, and what lies inside the other."""
    from apu_losses.app import touch_files

    files = [mesh_a, *([] if mesh_b is None else [mesh_b])]
    outputs = [path for path in (out, picture) if path is not None]
    refuse_inputs(outputs, [*files, *_given_files(body, regions, body_b, regions_b)])
    if picture is not None and picture.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise BadInput(f"--picture {picture}: expected .png or .jpg, got {picture.suffix or 'no ending'}")
    for path, is_ours in ((out, touch_files.is_touches), (picture, lambda _: False)):
        if path is not None:
            refuse_foreign(path, is_ours, "a result of apu touches", overwrite=overwrite)
    _use_threads(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        first, second = touch_files.two_meshes(mesh_a, mesh_b)
        a = touch_files.side_of(first, body, regions)
        other = (body, regions) if body_b is None and regions_b is None else (body_b, regions_b)
        b = touch_files.side_of(second, *other)
        found = touch_files.find_touches(a, b, threshold)
    for line in dict.fromkeys(str(warning.message) for warning in caught):
        _complain("touches", f"note: {line}")
    typer.echo(f"a: {first.name}, b: {second.name}; nearer than {100 * threshold:g} cm:")
    typer.echo(str(found))
    if out is not None:
        touch_files.write_touches(out, found, a, b)
    if picture is not None:
        touch_files.draw_touches(picture, found, a, b, files)
    if outputs:
        typer.echo(f"{', '.join(map(str, outputs))} written")


@app.command()
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
    body: Annotated[
        str | None, typer.Option(help="Your SMPLX_*.npz, if the meshes are not of the free body.")
    ] = None,
    regions: Annotated[Path | None, typer.Option(help="Region map of their topology.")] = None,
    body_b: Annotated[str | None, typer.Option(help="Of B, if it is of another topology.")] = None,
    regions_b: Annotated[Path | None, typer.Option(help="Likewise.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Make a contact map of what two people's contact heads say of each vertex."""
    from apu_losses.app import match_files, touch_files

    given = _given_files(answers, body, regions, body_b, regions_b)
    refuse_inputs([out], [mesh_a, mesh_b, *labels, *given])
    refuse_foreign(out, match_files.is_map, "a contact map", overwrite=overwrite)
    with _input(), warnings.catch_warnings(record=True) as caught:
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
        _complain("match", f"note: {line}")
    for name, each in zip("ab", pair, strict=True):
        typer.echo(f"{name}: {int(each.labels(threshold).sum())} of {len(each)} vertices ({each.key})")
    typer.echo(str(found))
    match_files.write_map(out, found.contacts)
    typer.echo(f"{out} written")


@app.command()
def labels(
    contacts: Annotated[
        Path, typer.Argument(metavar="MAP", help="A contact map, or what apu touches wrote.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz to write: contact_a, contact_b.")],
    regions: Annotated[
        Path | None, typer.Option(help="Region map of the body's topology; the free body's without it.")
    ] = None,
    regions_b: Annotated[Path | None, typer.Option(help="Of B, if it is of another topology.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Write a contact map as a weight for each vertex of either person: targets for a contact head."""
    from apu_contacts.regions import RegionMap
    from apu_losses.app import match_files

    refuse_inputs([out], [contacts, *_given_files(regions, regions_b)])
    refuse_foreign(out, lambda _: False, "labels", overwrite=overwrite)
    with _input():
        first = RegionMap.load("free" if regions is None else regions)
        second = first if regions_b is None else RegionMap.load(regions_b)
        counts = match_files.write_labels(out, match_files.read_map(contacts), first, second)
    typer.echo(f"{out} written: {counts[0]} of {first.vertex_count} and {counts[1]} of {second.vertex_count}")


@app.command()
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Bring two of SAM 3D Body's people into contact; their meshes stay as they are, the people move."""
    from apu_losses.app import unite_files

    with _input():
        touching = [unite_files.part_contact(words) for words in contact]
    refuse_foreign(out / "united.npz", lambda _: False, "a result", overwrite=overwrite)
    _use_threads(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        done = unite_files.unite(people, pair, touching, faces, regions, size=size, preset=preset)
    for line in dict.fromkeys(str(warning.message) for warning in caught):
        _complain("unite", f"note: {line}")
    _table(("measurement", "start", "fitted"), done.rows())
    for file in done.save(out):
        typer.echo(f"  {file}")


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


@app.command("map")
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
) -> None:
    """Carry the 75 regions to another mesh by a mapping, such as the official ones to MHR: no fitting."""
    from apu_losses.app.map_files import carry_map, is_map

    refuse_inputs([out], [regions, mapping, faces])
    refuse_foreign(out, is_map, "a region map", overwrite=overwrite)
    moved = carry_map(regions, mapping, faces, topology)
    moved.regions.save(out)
    reasons = ", ".join(f"{count} {why}" for why, count in moved.counts.items() if count) or "none"
    _table(
        ("topology", "vertices", "unsure", "fewest in a region"),
        [(moved.regions.topology, len(moved.unsure), reasons, int(moved.regions.sizes.min()))],
    )
    typer.echo(f"{out} written")


@app.command()
def doctor() -> None:
    """Say what is installed, which kernels would run and why, and which body and region map are found."""
    from apu_losses.app.doctor import examine

    findings = examine()
    _table(("topic", "name", "state", "detail"), [(f.topic, f.name, f.state, f.detail) for f in findings])
    problems = sum(f.state == "problem" for f in findings)
    if problems:
        _complain("doctor", f"{problems} problem{'s' if problems > 1 else ''} found")
        raise typer.Exit(1)


def _use_threads(count: int) -> None:
    """Use one thread where nothing else is said: the tensors of a few people are small, and threads that wait
    for each other can make a fit slower.
    """
    import torch

    torch.set_num_threads(count)


def _device(name: str) -> str:
    import torch

    try:
        torch.empty(0, device=name, dtype=torch.float32)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from None
    return name


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


def _ids(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids))


def main() -> None:
    """Entry point of the command."""
    sys.exit(run(app))


if __name__ == "__main__":
    main()
