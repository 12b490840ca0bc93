"""Asking about the pairs of scenes, and once more where an answer could not be read whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from apu_contacts.asking.answer_file import read_answers
from apu_contacts.asking.ask import AskSummary
from apu_contacts.asking.commands import AskOptions, ask_queries
from apu_contacts.asking.model import VisionLanguageModel
from apu_contacts.asking.queries import PairQuery
from apu_losses.generate.questions import repair_queries


def ask_pairs(
    queries: Sequence[PairQuery],
    out: str | Path,
    options: AskOptions,
    *,
    repair: bool = False,
    progress: Callable[[int, int], None] | None = None,
    model: VisionLanguageModel | None = None,
) -> AskSummary:
    """Ask questions and append the answers to a file; what it has is not asked again.

    Args:
        queries: see `scene_queries`.
        out: the file of answers.
        options: of whom, how often, how.
        repair: ask once more, with the words and what was wrong with them, where an answer of the same model
            could not be read whole. The repaired answer counts, and both are kept.
        progress: called with (done, total) after each answer.
        model: is asked in place of the client of ``options``.

    Raises:
        ImportError: if the ``openai`` package is missing.
        ValueError: if an option is out of range, or two questions have the same id.
        OSError: if ``out`` is another file, or another run is writing into it.
        AskInterrupted: on Ctrl-C; what had arrived is in the file.
    """
    model = model or options.client()
    summary = ask_queries(queries, out, options, progress, model)
    if not repair or summary.stopped or not Path(out).is_file():
        return summary
    records = [r for r in read_answers(out) if r.get("asked_of") == model.identity and not r.get("repair_of")]
    again = repair_queries(queries, records)
    if not again:
        return summary
    second = ask_queries(again, out, replace(options, samples=1, again=()), progress, model)
    summary.asked += second.asked
    summary.already += second.already
    summary.unanswered += second.unanswered
    summary.failures += second.failures
    summary.stopped = second.stopped
    summary.repairs = len(again)
    for status, count in second.statuses.items():
        summary.statuses[status] = summary.statuses.get(status, 0) + count
    return summary
