"""The commands `apu detect` and `apu propose`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from apu_losses.app.commands.common import OVERWRITE, given_files, reading_input, use_threads
from apu_losses.app.console import complain, progress_bar, say_when_interrupted, table


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
    with reading_input():
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
        with progress_bar() as tell:
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
        complain("detect", f"note: {problem}")
    table(("what", "number"), summary.rows())
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Find the pairs of people who may be touching; write a scene for each image that has one."""
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
    use_threads(1)
    report = ProposalReport()
    say_when_interrupted(
        lambda: f"interrupted; {report.images} of {len(images)} images are done, and the same command goes on"
    )
    with progress_bar() as tell:
        count = propose_file(
            images,
            out,
            body=cache(lambda: load_body(body)),
            body_name=body,
            report=report,
            progress=tell,
            inputs=[detections, *given_files(body)],
            overwrite=overwrite,
            start=start,  # type: ignore[arg-type]
            **options,
        )
    for note in report.notes:
        complain("propose", f"note: {note}")
    table(("what", "number"), report.rows())
    if report.failed:
        rows = [(name, why) for name, reasons in report.failed.items() for why in reasons]
        table(("image", "could not be read"), rows)
    typer.echo(f"{count} scene{'s' if count != 1 else ''} in {out}")
    if report.notes:
        raise typer.Exit(1)
