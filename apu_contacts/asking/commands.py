"""What `apu ask` and `apu parse` do, as functions: arguments in, a summary out, nothing printed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from apu_contacts.answers.explanation import explain_file
from apu_contacts.asking.address import checked_key
from apu_contacts.asking.ask import AskInterrupted as AskInterrupted
from apu_contacts.asking.ask import AskSummary, ask_all
from apu_contacts.asking.batch import BatchFiles, collect_batch, write_batch
from apu_contacts.asking.budget import Budget
from apu_contacts.asking.cache import CachedModel
from apu_contacts.asking.model import VisionLanguageModel
from apu_contacts.asking.openai_client import KEY_VARIABLE, OpenAIClient
from apu_contacts.asking.prompt import Example, load_example
from apu_contacts.asking.queries import PairQuery, image_queries
from apu_contacts.asking.redaction import visible
from apu_contacts.images import left_out, left_out_words


@dataclass(frozen=True)
class AskOptions:
    """Options of `apu ask`; the API key comes from an environment variable only.

    Args:
        model: name that the server knows.
        base_url: of the server, with ``/v1``; None takes OPENAI_BASE_URL, else OpenAI's own.
        api_key_env: the environment variable that holds the key.
        samples: answers per picture.
        parallel: questions at the same time.
        action: a known label of the interaction, for all pictures.
        example: put the package's in-context example before the question.
        attributes: ask for age group, sex and build of the people, too, and who is taller and in front.
        cache: folder of answers that are never asked for again; None for none.
        temperature: 0 asks for the likeliest answer; samples that differ need more.
        timeout: seconds for a whole answer.
        max_retries: further attempts after a failed one.
        again: statuses of answers that are asked for anew: ``("empty",)``.
        picture_format: how crops are sent, ``"jpeg"`` or ``"png"``.
        answer_tokens: cap on one answer's length, thoughts included.
        format, length_field: as of `apu_contacts.asking.OpenAIClient`.
        max_calls, max_tokens, max_cost, price_in, price_out: of the whole run; see
            `apu_contacts.asking.Budget`.

    Raises:
        ValueError: if several samples are asked for at temperature 0.
    """

    model: str
    base_url: str | None = None
    api_key_env: str = KEY_VARIABLE
    samples: int = 1
    parallel: int = 4
    action: str | None = None
    example: bool = True
    attributes: bool = False
    cache: Path | None = None
    temperature: float = 0.0
    timeout: float = 300.0
    max_retries: int = 5
    again: tuple[str, ...] = ()
    picture_format: str = "jpeg"
    answer_tokens: int = 2000
    format: str = "json_schema"
    length_field: str | None = None
    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"{self.samples} samples at temperature 0 are the same answer, paid {self.samples} times; "
                "choose a temperature above 0 (--temperature 0.7) or one sample"
            )

    def in_context(self) -> Example | None:
        """Return the example to show, or None.

        Raises:
            ValueError: if one is asked for and this copy of the package has none.
        """
        if not self.example:
            return None
        found = load_example()
        if found is None:
            raise ValueError("this copy of the package has no in-context example; ask without one")
        return found

    def client(self) -> VisionLanguageModel:
        """Return the model to ask, behind its cache if there is one.

        Raises:
            ImportError: if the ``openai`` package is missing.
            ValueError: if there is no API key, or an option is out of range.
        """
        client = self.openai_client()
        return client if self.cache is None else CachedModel(client, self.cache)

    def openai_client(self, api_key: str | None = None) -> OpenAIClient:
        """Return the client without a cache; a key given here takes the place of the environment's.

        Raises:
            ImportError: if the ``openai`` package is missing.
            ValueError: if there is no API key, or an option is out of range.
        """
        if api_key is None and self.api_key_env != KEY_VARIABLE:
            origin = f"the environment variable {self.api_key_env} (--api-key-env)"
            api_key = checked_key(os.environ.get(self.api_key_env, ""), origin)
            if not api_key:
                raise ValueError(f"{origin} is not set")
        return OpenAIClient(
            self.model,
            self.base_url,
            api_key,
            timeout=self.timeout,
            max_retries=self.max_retries,
            max_parallel=self.parallel,
            budget=Budget(self.max_calls, self.max_tokens, self.max_cost, self.price_in, self.price_out),
            temperature=self.temperature,
            max_tokens=self.answer_tokens,
            format=self.format,
            length_field=self.length_field,
        )


def ask_pictures(
    pictures: Sequence[str | Path],
    out: str | Path,
    options: AskOptions,
    progress: Callable[[int, int], None] | None = None,
) -> AskSummary:
    """`apu ask PICTURES -o OUT`: asks about each picture and appends the answers to a file; run again to
    resume.

    Raises:
        ImportError: if the ``openai`` package is missing.
        ValueError: if a picture does not exist, or an option is out of range.
        OSError: if ``out`` is another file, or another run is writing into it.
        AskInterrupted: on Ctrl-C; what had arrived is in the file.
    """
    return ask_queries(
        image_queries(pictures, options.action, attributes=options.attributes), out, options, progress
    )


def ask_queries(
    queries: Sequence[PairQuery],
    out: str | Path,
    options: AskOptions,
    progress: Callable[[int, int], None] | None = None,
    model: VisionLanguageModel | None = None,
) -> AskSummary:
    """Ask questions and append the answers to a file, as `ask_all` does with these options.

    Args:
        queries: the questions; ``options.action`` and ``attributes`` do not count, each has its own.
        out: the file of answers.
        options: of whom, how often, how.
        progress: called with (done, total) after each answer.
        model: is asked in place of the client of ``options``.

    Raises:
        ImportError, ValueError, OSError, AskInterrupted: as `ask_pictures`.
    """
    return ask_all(
        queries,
        model or options.client(),
        out,
        samples=options.samples,
        parallel=options.parallel,
        example=options.in_context(),
        again=options.again,
        picture_format=options.picture_format,
        progress=progress,
    )


def write_requests(
    pictures: Sequence[str | Path],
    batch_out: str | Path,
    options: AskOptions,
    answers: str | Path | None = None,
) -> BatchFiles:
    """`apu ask PICTURES --batch-out OUT`: writes the questions as batch files; asks nobody. What the file
    ``answers`` has is left out.

    Raises:
        ImportError: if the ``openai`` package is missing.
        ValueError: if a picture does not exist, or ``answers`` is another file.
        OSError: if a file is there already, or cannot be written.
    """
    return write_query_requests(
        image_queries(pictures, options.action, attributes=options.attributes), batch_out, options, answers
    )


def write_query_requests(
    queries: Sequence[PairQuery],
    batch_out: str | Path,
    options: AskOptions,
    answers: str | Path | None = None,
) -> BatchFiles:
    """Write questions as batch files; as `write_requests`, of which ``options.action`` and ``attributes`` do
    not count.
    """
    return write_batch(
        queries,
        batch_out,
        options.openai_client("none"),  # writes requests and sends none
        samples=options.samples,
        example=options.in_context(),
        picture_format=options.picture_format,
        answers=answers,
    )


def collect_results(
    results: Sequence[str | Path], out: str | Path, questions: Sequence[str | Path] | None = None
) -> AskSummary:
    """`apu ask --batch-in RESULTS -o OUT`: appends a batch's answers to a file of answers.

    Raises:
        ValueError: if a file has no batch result, or there is no list of its questions.
        OSError: if a file cannot be read, or ``out`` is another file.
    """
    return collect_batch(results, out, questions)


def left_out_note(pictures: Sequence[str | Path]) -> str:
    """How many files of the folders among ``pictures`` are no pictures; "" if none."""
    return left_out_words(left_out(pictures))


def parse_file(path: str | Path) -> tuple[str, bool]:
    """`apu parse FILE`: the explanation, and whether everything could be read (the exit status). What a model
    wrote cannot steer the terminal: control characters are shown as escapes.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not UTF-8 text.
    """
    explanation, whole = explain_file(path)
    return visible(explanation, keep="\n\t"), whole


def summary_lines(summary: AskSummary, most: int = 5) -> list[str]:
    """Return a summary for a person, with the first ``most`` failures; words of a server cannot steer a
    terminal.
    """
    kinds = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    lines = [f"{summary.asked} asked{f' ({kinds})' if kinds else ''}, {summary.already} already there"]
    lines += failure_lines(summary.failures, most)
    if summary.unanswered:
        lines.append(
            f"{summary.unanswered} of the replies say nothing; --again empty asks for them anew, and more "
            "--answer-tokens may help"
        )
    if summary.others:
        lines.append(
            f"the file has {summary.others} records under these names that answer another question (another "
            "model, wording, setting or picture)"
        )
    if summary.repairs:
        lines.append(f"{summary.repairs} answers could not be read whole and were asked for once more")
    if summary.stopped:
        lines.append(f"stopped: {summary.stopped}")
    return [visible(line) for line in lines]


def batch_lines(written: BatchFiles, most: int = 5) -> list[str]:
    """Return what a person should know beside the names of the files."""
    lines = []
    if written.questions is not None:
        lines.append(f"{written.questions} says what they ask; --batch-in needs it")
    lines.append(f"{written.requests} to ask, {written.already} already there")
    return [visible(line) for line in lines + failure_lines(written.failures, most)]


def failure_lines(failures: Sequence[tuple[str, int, str]], most: int) -> list[str]:
    """Return the first ``most`` failures, and how many more there are."""
    lines = [
        f"failed: {name}{f' (sample {sample})' if sample >= 0 else ''}: {why}"
        for name, sample, why in failures[:most]
    ]
    if len(failures) > most:
        lines.append(f"and {len(failures) - most} more failures; run again to ask them once more")
    return lines
