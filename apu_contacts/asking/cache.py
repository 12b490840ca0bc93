"""Answers on disk, so that nothing is paid for twice; and answers played back."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apu_contacts.asking.model import AskError, Reply, VisionLanguageModel
from apu_contacts.asking.prompt import Prompt
from apu_contacts.files import write_text
from apu_contacts.reading import read_json


def question_key(identity: str, prompt: Prompt, sample: int) -> str:
    """64 hex digits that name one answer: model and settings, words, pixels, number of the sample."""
    words = json.dumps([identity, prompt.content_hash, sample])
    return hashlib.sha256(words.encode()).hexdigest()


class CachedModel:
    """A model in front of which answers are kept in a folder, one JSON file each, named by what was asked.

    Files appear whole or not at all. A reply without words is not kept. A file that cannot be read is asked
    for again. Nothing of the client's configuration but its ``identity`` enters the folder.

    Args:
        model: is asked where the folder has no answer; None answers from the folder only.
        folder: is made if it does not exist.
        identity: of the answers; that of ``model`` if None.

    Raises:
        ValueError: if neither a model nor an identity is given.
    """

    def __init__(
        self, model: VisionLanguageModel | None, folder: str | Path, identity: str | None = None
    ) -> None:
        if model is None and identity is None:
            raise ValueError("identity is needed where there is no model to take it from")
        self.model = model
        self.folder = Path(folder)
        self._identity = identity or (model.identity if model is not None else "")

    @property
    def identity(self) -> str:
        """That of the model."""
        return self._identity

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the model, where it has any."""
        return dict(getattr(self.model, "settings", {}))

    def path(self, prompt: Prompt, sample: int = 0) -> Path:
        """Where the answer is kept."""
        key = question_key(self.identity, prompt, sample)
        return self.folder / key[:2] / f"{key}.json"

    def look_up(self, prompt: Prompt, sample: int = 0) -> Reply | None:
        """Return the kept answer, or None."""
        try:
            row = read_json(self.path(prompt, sample), checked=False)
            return Reply.from_json(row["reply"], cached=True)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, prompt: Prompt, sample: int, reply: Reply) -> None:
        """Write an answer."""
        row = {"prompt_version": prompt.version, "wording": prompt.wording_hash, "sample": sample}
        text = json.dumps({**row, "reply": reply.to_json()})
        write_text(self.path(prompt, sample), text, private=True)

    def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
        """Return the kept answer, or the model's, which is then kept.

        Raises:
            AskError: as the model; or if there is no model and no kept answer.
        """
        found = self.look_up(prompt, sample)
        if found is not None:
            return found
        if self.model is None:
            raise AskError(f"there is no kept answer to this question (sample {sample}) in {self.folder}")
        return self.ask_anew(prompt, sample)

    def cancel(self) -> None:
        """As the model's."""
        getattr(self.model, "cancel", lambda: None)()

    def ask_anew(self, prompt: Prompt, sample: int = 0) -> Reply:
        """Return the model's answer, whatever is kept; it is kept then. One that says nothing is handed on
        only, and where the folder cannot be written there is a warning: the answer is paid for in any case.

        Raises:
            AskError: as the model; or if there is no model.
        """
        if self.model is None:
            raise AskError(f"there is no model to ask, only the answers in {self.folder}")
        reply = self.model(prompt, sample)
        if not reply.empty:
            try:
                self.keep(prompt, sample, reply)
            except OSError as error:
                warnings.warn(f"an answer could not be kept in {self.folder}: {error}", stacklevel=2)
        return reply


class ReplayModel:
    """Plays back given texts, for tests and for work without a server.

    Args:
        texts: by `Prompt.content_hash`; or one text for every question.
        name: stands in for the model's name.
    """

    def __init__(self, texts: Mapping[str, str] | str, name: str = "replay") -> None:
        self.texts, self.name = texts, name

    @property
    def identity(self) -> str:
        """The name."""
        return self.name

    def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
        """Return the given text.

        Raises:
            AskError: if there is none for this question.
        """
        text = self.texts if isinstance(self.texts, str) else self.texts.get(prompt.content_hash)
        if text is None:
            raise AskError(f"nothing was recorded for the question {prompt.content_hash[:12]}")
        return Reply(text, model=self.name)
