"""Answers on disk, so that nothing is paid for twice; and answers played back."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from apu_contacts.lvlm.model import AskError, Reply, VisionLanguageModel
from apu_contacts.lvlm.prompt import Prompt


def question_key(identity: str, prompt: Prompt, sample: int) -> str:
    """64 hex digits that name one answer: model and settings, words, pixels, number of the sample."""
    words = json.dumps([identity, prompt.content_hash, sample])
    return hashlib.sha256(words.encode()).hexdigest()


class CachedModel:
    """A model in front of which answers are kept in a folder, one JSON file each, named by what was asked.

    Files appear whole or not at all. A file that cannot be read is asked for again. Nothing of the client's
    configuration but its ``identity`` enters the folder.

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

    def path(self, prompt: Prompt, sample: int = 0) -> Path:
        """Where the answer is kept."""
        key = question_key(self.identity, prompt, sample)
        return self.folder / key[:2] / f"{key}.json"

    def look_up(self, prompt: Prompt, sample: int = 0) -> Reply | None:
        """The kept answer, or None."""
        try:
            row = json.loads(self.path(prompt, sample).read_text(encoding="utf-8"))
            return Reply.from_json(row["reply"], cached=True)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, prompt: Prompt, sample: int, reply: Reply) -> None:
        """Writes an answer."""
        row = {"prompt_version": prompt.version, "wording": prompt.wording_hash, "sample": sample}
        write_atomically(self.path(prompt, sample), json.dumps({**row, "reply": reply.to_json()}))

    def __call__(self, prompt: Prompt, sample: int = 0) -> Reply:
        """The kept answer, or the model's, which is then kept.

        Raises:
            AskError: as the model; or if there is no model and no kept answer.
        """
        found = self.look_up(prompt, sample)
        if found is not None:
            return found
        if self.model is None:
            raise AskError(f"there is no kept answer to this question (sample {sample}) in {self.folder}")
        reply = self.model(prompt, sample)
        self.keep(prompt, sample, reply)
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
        """The given text.

        Raises:
            AskError: if there is none for this question.
        """
        text = self.texts if isinstance(self.texts, str) else self.texts.get(prompt.content_hash)
        if text is None:
            raise AskError(f"nothing was recorded for the question {prompt.content_hash[:12]}")
        return Reply(text, model=self.name)


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all, even if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)  # noqa: PTH105  (the path given by mkstemp is a string)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
