"""The command `apu`: it reads arguments, calls the library and prints. What it computes lives elsewhere.

Exit codes: 0 done; 1 something could not be done (a problem that `doctor` found, a scene that `fit` could not
fit, an image that `detect` or `propose` could not read, a question that `ask` got no answer to, a text that
`parse` could not read whole); 2 bad input, with one line on standard error; 130 interrupted.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from apu_losses.fitting import FitResult

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
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput(_in_words(error)) from error


def _in_words(error: Exception) -> str:
    """One line; of an error of the system without its number."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror[:1].lower()}{error.strerror[1:]}"
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
    return " ".join(text.split())


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
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("apu_demo"),
    preset: Annotated[str, typer.Option(help="Recipe of the fit: a name, or a .json file.")] = "best",
    film: Annotated[bool, typer.Option("--film", help="Leave a film of the fit, too: film.webp.")] = False,
) -> None:
    """Fit the bundled scene on the free body; leave pictures, meshes and parameters."""
    with _input():
        from apu_losses.fitting import load_preset

        load_preset(preset)
    from apu_losses.demo import run_demo
    from apu_losses.viz.table import measurement_rows

    _use_threads(1)

    with _progress() as tell, _writing():
        done = run_demo(out, preset=preset, film=film, progress=tell)
    _table(("measurement", "start", "fitted"), measurement_rows(done.scene, done.result))
    typer.echo(f"{_verdict(done.result)} ({done.result.iterations} steps, {done.result.seconds:.0f} s)")
    for file in done.files:
        typer.echo(f"  {file}")


@app.command()
def fit(
    scene: Annotated[
        Path, typer.Argument(metavar="SCENE.json|DIR|SCENES.jsonl", help="A scene, a folder, or one a line.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    preset: Annotated[str, typer.Option(help="Recipe of the fit: a name, or a .json file.")] = "best",
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
) -> None:
    """Fit bodies to scenes; leave parameters, a record, meshes and a picture of each."""
    with _input():
        from apu_losses.bodies import load_body
        from apu_losses.bodies.region_map import region_map_for
        from apu_losses.fit_files import fit_scenes, load_scenes
        from apu_losses.fitting import SceneFitter

        _use_threads(threads)
        if scene.is_dir() and out.resolve() == scene.resolve():
            raise ValueError(f"--out {out}: results would lie among the scenes; name another folder")
        model = load_body(body, device=_device(device))
        scenes = load_scenes(scene, model)
        with warnings.catch_warnings(record=True) as caught:
            region_map = region_map_for(model, regions)
        fitter = SceneFitter(model, regions=region_map, preset=preset, device=device)
    for warning in caught:
        _complain("fit", f"note: {warning.message}")
    with _progress() as tell, _writing():
        results = fit_scenes(scenes, fitter, out, pictures=pictures, progress=tell, log=log, films=film)
    header = ("scene", "verdict", "pairs within 2 cm", "keypoint error, px", "inside")
    _table(header, [_summary(name, result) for name, result in results.items()])
    typer.echo(f"results in {out}" + (f", films in {film}" if film else ""))
    if any(result.failed for result in results.values()):
        raise typer.Exit(1)


@app.command()
def benchmark(
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes, spread over the types.")] = 16,
    preset: Annotated[str, typer.Option(help="Recipe of the fit: a name, or a .json file.")] = "best",
    split: Annotated[str, typer.Option(help="'held_out', or 'development' to tune on.")] = "held_out",
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps what is done; another run goes on from there.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the simulated noise.")] = 0,
) -> None:
    """Fit synthetic scenes with known truth by the methods of the paper's tables, and print the table."""
    with _input():
        from apu_losses.fitting import load_preset
        from apu_losses.synthetic import DEVELOPMENT_TYPES, HELD_OUT_TYPES, load_truth_scenes
        from apu_losses.synthetic.method_table import (
            ContactSource,
            MethodRunner,
            main_rows,
            spread_over_types,
        )
        from apu_losses.synthetic.method_table.report import main_report

        recipe = load_preset(preset)
        methods = main_rows(recipe, ContactSource())
        types = {"held_out": HELD_OUT_TYPES, "development": DEVELOPMENT_TYPES}.get(split, ())
        per_type = -(-scenes // max(1, len(types)))
        chosen = spread_over_types(load_truth_scenes(split, per_type=per_type), scenes)
    _use_threads(1)
    with _writing():
        runner = MethodRunner(chosen, cache, seed=seed)
        scores = runner.run(methods, jobs=jobs, tell=lambda line: _complain("benchmark", line))
    typer.echo(f"{len(chosen)} synthetic scenes ({split}), seed {seed}, recipe {preset}\n")
    typer.echo(main_report(methods, scores, recipe.filter_pixels))


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A recipe, or a .json file.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the recipe.")] = None,
) -> None:
    """List the recipes of a fit, or print one as JSON, to be changed and given to `fit --preset`."""
    import json

    from apu_losses.fitting import PRESET_NAMES, load_preset

    if name is None:
        _table(("recipe", "what it is"), [(known, load_preset(known).description) for known in PRESET_NAMES])
        return
    with _input():
        preset = load_preset(name)
    if out is None:
        typer.echo(json.dumps(preset.to_dict(), indent=1))
        return
    with _writing():
        preset.save(out)
    typer.echo(f"{out} written")


@app.command()
def convert(
    parameters: Annotated[Path, typer.Argument(metavar="FIT.npz", help="Parameters, as `fit` writes them.")],
    to: Annotated[str, typer.Option(help="'free', or the path of your SMPL-X, SMPL-H or SMPL file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz to write.")],
    source: Annotated[str, typer.Option("--from", help="The body of FIT.npz, likewise.")] = "free",
) -> None:
    """Turn fitted parameters of one body into those of another; say how far the two surfaces are apart."""
    with _input(), _writing():
        from apu_losses.bodies import load_body
        from apu_losses.fitting.convert import convert_file

        result = convert_file(parameters, out, load_body(source), load_body(to))
    figures = zip(*(each.tolist() for each in (result.mean_mm, result.p95_mm, result.max_mm)), strict=True)
    rows = [(person, *(f"{value:.2f}" for value in row)) for person, row in enumerate(figures)]
    _table(("person", "residual mean, mm", "95 %, mm", "largest, mm"), rows)
    unsure = int(result.unsure.sum())
    typer.echo(f"{out} written; {unsure} of {len(result.unsure)} vertices had no sure counterpart")


@app.command()
def ask(
    pictures: Annotated[list[Path] | None, typer.Argument(help="Pictures of two people each.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File of answers; what it has stays.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the model, as the server knows it.")] = "",
    base_url: Annotated[str | None, typer.Option(help="Server with /v1; OpenAI's own if left out.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers a picture.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, help="Questions at the same time.")] = 4,
    temperature: Annotated[float, typer.Option(help="0: the likeliest answer; samples need more.")] = 0.0,
    action: Annotated[str | None, typer.Option(help="Known label of the interaction.")] = None,
    example: Annotated[bool, typer.Option(help="Show an example before the question.")] = True,
    cache: Annotated[Path | None, typer.Option(help="Folder of answers that are not asked again.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Stop after this many calls.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Stop after this many tokens.")] = None,
    batch_out: Annotated[Path | None, typer.Option(help="Write batch files here and ask nobody.")] = None,
    batch_in: Annotated[list[Path] | None, typer.Option(help="Take answers from a batch's results.")] = None,
) -> None:
    """Ask a vision language model which body parts touch; the key is read from OPENAI_API_KEY."""
    from apu_contacts.lvlm import commands

    with _input():
        if batch_in is None and not (pictures and model):
            raise ValueError("ask needs pictures and --model")
        if batch_out is None and out is None:
            raise ValueError("ask needs -o FILE for the answers, or --batch-out")
        options = commands.AskOptions(
            model,
            base_url,
            samples=samples,
            parallel=parallel,
            action=action,
            example=example,
            cache=cache,
            temperature=temperature,
            max_calls=max_calls,
            max_tokens=max_tokens,
        )
        if batch_out is not None:
            for file in commands.write_requests(pictures or [], batch_out, options):
                typer.echo(str(file))
            return
        if out is None:
            return
        if batch_in is not None:
            summary = commands.collect_results(batch_in, out)
        else:
            with _progress() as tell:
                summary = commands.ask_pictures(
                    pictures or [], out, options, lambda done, total: tell(done / total, f"{done} of {total}")
                )
    for line in commands.summary_lines(summary):
        typer.echo(line)
    if summary.failures or summary.stopped:
        raise typer.Exit(1)


@app.command()
def parse(file: Annotated[Path, typer.Argument(help="Text that a model wrote.")]) -> None:
    """Explain how a model's answer is read: contacts, repairs, and what no rule accounts for."""
    from apu_contacts.lvlm.commands import parse_file

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
    estimates: Annotated[
        list[str] | None,
        typer.Option(help="Files of an estimator to list too: bev=FOLDER/{name}.npz. May be repeated."),
    ] = None,
) -> None:
    """Find people and their keypoints in pictures; write the list that `propose` reads."""
    with _input():
        from apu_contacts.detect import KeypointDetector, detect_pictures, find_pictures, named_models
        from apu_contacts.detect.models import own_models

        found = find_pictures(pictures)
        patterns = _patterns(estimates or [])
        if person_weights and pose_weights:
            models = own_models(person_weights, pose_weights)
        else:
            models = own_models(person_weights, pose_weights, named_models(model))
        if score_scale is not None:
            models = replace(models, score_scale=score_scale)
        with _progress() as tell:
            detector = KeypointDetector(models, device=device, min_box_score=min_box_score, progress=tell)
            summary = detect_pictures(found, detector, out, estimates=patterns, progress=tell)
    for problem in summary.unread:
        _complain("detect", f"note: {problem}")
    _table(("what", "number"), summary.rows())
    typer.echo(f"{out} written")
    if summary.unread:
        raise typer.Exit(1)


def _patterns(given: Sequence[str]) -> dict[str, str]:
    """KIND=PATH of the command line by kind."""
    if not given:
        return {}
    from apu_losses.fitting.propose import ESTIMATE_KINDS

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
) -> None:
    """Find the pairs of people who may be touching; write a scene for each image that has one."""
    with _input():
        from functools import cache

        from apu_losses.bodies import load_body
        from apu_losses.fitting import ProposalReport, find_images, propose_scenes, write_scene_lines

        images = find_images(detections)
        options = {
            "min_keypoints": min_keypoints,
            "max_distance": max_distance,
            "max_mesh_error": max_mesh_error,
            "max_gap": max_gap,
        }
        _use_threads(1)
        report = ProposalReport()
        with _progress() as tell:
            load = cache(lambda: load_body(body))
            scenes = propose_scenes(images, body=load, report=report, progress=tell, **options)
            count = write_scene_lines(out, scenes)
    for note in report.notes:
        _complain("propose", f"note: {note}")
    _table(("what", "number"), report.rows())
    typer.echo(f"{count} scene{'s' if count != 1 else ''} in {out}")
    if report.notes:
        raise typer.Exit(1)


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


def _use_threads(count: int) -> None:
    """The tensors of a few people are small: threads that wait for each other can make a fit slower."""
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


def _summary(name: str, result: FitResult) -> tuple[str, ...]:
    before, after = result.before, result.after
    return (
        name,
        _verdict(result),
        " to ".join(f"{100 * metrics.contact_share(0.02):.0f} %" for metrics in (before, after)),
        " to ".join(f"{max(metrics.keypoint_error):.1f}" for metrics in (before, after)),
        f"{before.inside_vertices} to {after.inside_vertices}",
    )


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


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """A progress bar on standard error, so that standard output stays clean."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task("", total=1.0)

    def tell(share: float, doing: str) -> None:
        # the bar opens with the first news, so that bad input leaves one line and no empty bar
        bar.start()
        bar.update(task, completed=share, description=doing)

    try:
        yield tell
    finally:
        bar.stop()


@contextmanager
def _writing() -> Iterator[None]:
    """A folder that cannot be written is the user's to mend; anything else that goes wrong is a defect."""
    try:
        yield
    except OSError as error:
        raise BadInput(_in_words(error)) from error


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
