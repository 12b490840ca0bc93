"""What the page of messages shows is what the library says: every block is run."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
CASES = re.findall(
    r"\*\*([^*]+)\*\*[^\n]*(?:\n[^\n`]+)*\n\n```python\n(.*?)```\n\n```text\n(.*?)\n```", PAGE, re.DOTALL
)
CONVENTIONS = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")


def said_by(code: str) -> str:
    """Return the message of the error that the code ends with, or else of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(compile(code, "faq.md", "exec"), {})
        except Exception as error:
            return str(error)
    return "\n".join(str(warning.message) for warning in caught)


def test_every_block_is_found() -> None:
    assert len(CASES) == PAGE.count("```python") == PAGE.count("```text")


@pytest.mark.parametrize(("title", "code", "message"), CASES, ids=[case[0] for case in CASES])
def test_message(title: str, code: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert message in said_by(code), title


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", CONVENTIONS, re.DOTALL))
def test_examples_of_the_conventions_print_what_they_say(
    code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(code, "conventions.md", "exec"), {})
    said = re.search(r"print\(.*\)  # (.+)", code)
    assert said is not None and capsys.readouterr().out.strip() == said[1]
