"""What `apu ask` and `apu parse` do, as functions: arguments in, a summary out, nothing printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from apu_contacts.lvlm.ask import AskSummary, ask_all, image_queries
from apu_contacts.lvlm.batch import collect_batch, write_batch
from apu_contacts.lvlm.cache import CachedModel
from apu_contacts.lvlm.explanation import explain_file
from apu_contacts.lvlm.model import VisionLanguageModel
from apu_contacts.lvlm.openai_client import Budget, OpenAIClient
from apu_contacts.lvlm.prompt import Example, load_example


@dataclass(frozen=True)
class AskOptions:
    """Options of `apu ask`; the API key comes from the environment variable OPENAI_API_KEY only.

    Args:
        model: name that the server knows.
        base_url: of the server, with ``/v1``; None for OpenAI's own.
        samples: answers per picture.
        parallel: questions at the same time.
        action: a known label of the interaction, for all pictures.
        example: put the package's in-context example before the question.
        cache: folder of answers that are never asked for again; None for none.
        temperature: 0 asks for the likeliest answer; samples that differ need more.
        timeout: seconds for each wait for the server.
        max_retries: further attempts after a failed one.
        max_calls, max_tokens, max_cost, price_in, price_out: see `apu_contacts.lvlm.Budget`.
    """

    model: str
    base_url: str | None = None
    samples: int = 1
    parallel: int = 4
    action: str | None = None
    example: bool = True
    cache: Path | None = None
    temperature: float = 0.0
    timeout: float = 90.0
    max_retries: int = 5
    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def in_context(self) -> Example | None:
        """The example to show, or None.

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
        """The model to ask, behind its cache if there is one.

        Raises:
            ImportError: if the ``openai`` package is missing.
            ValueError: if there is no API key, or an option is out of range.
        """
        budget = Budget(self.max_calls, self.max_tokens, self.max_cost, self.price_in, self.price_out)
        client = OpenAIClient(
            self.model,
            self.base_url,
            timeout=self.timeout,
            max_retries=self.max_retries,
            max_parallel=self.parallel,
            budget=budget,
            temperature=self.temperature,
        )
        return client if self.cache is None else CachedModel(client, self.cache)


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
        ValueError: if a picture does not exist, ``out`` is another file, or an option is out of range.
    """
    queries = image_queries(pictures, options.action)
    return ask_all(
        queries,
        options.client(),
        out,
        samples=options.samples,
        parallel=options.parallel,
        example=options.in_context(),
        progress=progress,
    )


def write_requests(pictures: Sequence[str | Path], out: str | Path, options: AskOptions) -> list[Path]:
    """`apu ask PICTURES --batch-out OUT`: writes the questions as batch files; asks nobody.

    Raises:
        ValueError: if a picture does not exist.
        OSError: if one cannot be read.
    """
    return write_batch(
        image_queries(pictures, options.action),
        out,
        options.model,
        samples=options.samples,
        example=options.in_context(),
        temperature=options.temperature,
    )


def collect_results(results: Sequence[str | Path], out: str | Path) -> AskSummary:
    """`apu ask --batch-in RESULTS -o OUT`: appends a batch's answers to a file of answers.

    Raises:
        ValueError: on a line that is no batch result, or an ``out`` that is another file.
        OSError: if a file cannot be read.
    """
    return collect_batch(results, out)


def parse_file(path: str | Path) -> tuple[str, bool]:
    """`apu parse FILE`: the explanation, and whether everything could be read (the exit status).

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not UTF-8 text.
    """
    return explain_file(path)


def summary_lines(summary: AskSummary, most: int = 5) -> list[str]:
    """A summary for a person, with the first ``most`` failures."""
    kinds = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    lines = [f"{summary.asked} asked{f' ({kinds})' if kinds else ''}, {summary.already} already there"]
    lines += [f"failed: {name} (sample {sample}): {why}" for name, sample, why in summary.failures[:most]]
    if len(summary.failures) > most:
        lines.append(f"and {len(summary.failures) - most} more failures; run again to ask them once more")
    if summary.stopped:
        lines.append(f"stopped: {summary.stopped}")
    return lines
