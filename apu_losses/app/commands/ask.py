"""The commands `apu ask`, `apu contacts` and `apu parse`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apu_losses.app.commands.common import OVERWRITE, reading_input
from apu_losses.app.console import complain, progress_bar, say_when_interrupted, table

if TYPE_CHECKING:
    from apu_contacts.asking.queries import PairQuery


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

    with reading_input():
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
            complain("ask", f"note: {problem}")
        if repair and (batch_out or batch_in):
            raise ValueError("--repair asks at once, and a batch does not: leave it out, and give it later")
        if batch_out is not None:
            written = commands.write_query_requests(queries, batch_out, options, out)
            for path in written.paths:
                typer.echo(str(path))
            for line in commands.batch_lines(written):
                complain("ask", f"note: {line}")
            raise typer.Exit(1 if written.failures else 0)
        if out is None:
            return
        say_when_interrupted(lambda: f"interrupted; the answers that had come are in {out}")
        try:
            if batch_in is not None:
                summary = commands.collect_results(batch_in, out, batch_questions)
            else:
                from apu_losses.generate.ask import ask_pairs

                with progress_bar() as tell:
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help=OVERWRITE)] = False,
) -> None:
    """Put answers into scenes: fused, who is meant, sides repaired; each pair with what it rests on.

    People who started from their keypoints alone start once more, with what the answers say.
    """
    from apu_losses.generate.config import load_policy
    from apu_losses.generate.files import contacts_file
    from apu_losses.generate.said import check_from_answers

    with reading_input():
        check_from_answers(starts)
    with progress_bar() as tell:
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
        complain("contacts", f"note: {problem}")
    table(("scene", "people", "what is known"), report.pairs_in_words)
    table(("what", "number"), report.rows())
    typer.echo(f"{out} written")
    if report.problems:
        raise typer.Exit(1)


def parse(file: Annotated[Path, typer.Argument(help="Text that a model wrote.")]) -> None:
    """Explain how a model's answer is read: contacts, repairs, and what no rule accounts for."""
    from apu_contacts.asking.commands import parse_file

    with reading_input():
        explanation, whole = parse_file(file)
    typer.echo(explanation)
    if not whole:
        raise typer.Exit(1)
