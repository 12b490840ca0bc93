"""The body of a question, and the forms it takes for servers that refuse a part of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from apu_contacts.answers.schema import response_format
from apu_contacts.asking.prompt import Prompt

FORMATS = ("json_schema", "json_schema_unbounded", "json_object", "none")
"""How the form of an answer is asked for, each for servers that refuse the one before: the strict schema, the
schema without numeric bounds, any JSON, nothing."""
LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
"""Names of the cap on an answer's length: the old one, which every server knows, and OpenAI's new one."""
_OPTIONAL = ("temperature", "seed")


@dataclass(frozen=True)
class RequestForm:
    """What of a request differs from server to server.

    Args:
        format: one of `FORMATS`.
        length_field: one of `LENGTH_FIELDS`.
        left_out: ``"temperature"`` or ``"seed"``, which the server then chooses.

    Raises:
        ValueError: on another format or field.
    """

    format: str = "json_schema"
    length_field: str = "max_tokens"
    left_out: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        if self.length_field not in LENGTH_FIELDS:
            raise ValueError(
                f"length_field must be one of {', '.join(LENGTH_FIELDS)}, got {self.length_field!r}"
            )

    def parameters(self) -> tuple[str, ...]:
        """Return the parameters that can still be renamed or left out."""
        renamed = (self.length_field,) if self.length_field == LENGTH_FIELDS[0] else ()
        return renamed + tuple(name for name in _OPTIONAL if name not in self.left_out)

    def without(self, parameter: str) -> RequestForm:
        """Return the form for a server that refuses a parameter of `parameters`."""
        if parameter == LENGTH_FIELDS[0]:
            return replace(self, length_field=LENGTH_FIELDS[1])
        return replace(self, left_out=self.left_out | {parameter})

    def next_format(self) -> RequestForm | None:
        """Return the form for a server that refuses the format; None if none is asked for."""
        place = FORMATS.index(self.format) + 1
        return replace(self, format=FORMATS[place]) if place < len(FORMATS) else None

    def changes(self, wanted: RequestForm) -> str:
        """Return what is different from the form that was wanted, in words; "" if nothing is."""
        found = []
        if self.format != wanted.format:
            found.append(f"answer format {self.format} in place of {wanted.format}")
        if self.length_field != wanted.length_field:
            found.append(f"{self.length_field} in place of {wanted.length_field}")
        found += [f"no {name}" for name in sorted(self.left_out - wanted.left_out)]
        return f"this server was asked with {', '.join(found)}" if found else ""


def chat_body(
    model: str,
    prompt: Prompt,
    sample: int = 0,
    *,
    temperature: float = 0.0,
    max_tokens: int = 2000,
    format: str = "json_schema",
    length_field: str = "max_tokens",
    left_out: frozenset[str] = frozenset(),
    extra_body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the body of a chat completion request, as a client sends it and as a line of a batch file holds
    it.

    ``sample`` becomes the seed where the temperature is above 0. ``format``, ``length_field`` and
    ``left_out`` are those of `RequestForm`, the other arguments those of `OpenAIClient`.

    Raises:
        ValueError: on a sample after the first at temperature 0: it would be the same request again, paid
            again; or on an unknown format or field.
    """
    form = RequestForm(format, length_field, left_out)
    if sample > 0 and temperature == 0 and "temperature" not in (extra_body or {}):
        raise ValueError(
            f"sample {sample} at temperature 0 is the same request as sample 0, paid once more; choose a "
            "temperature above 0, such as 0.7"
        )
    body: dict[str, Any] = {
        "model": model,
        "messages": prompt.messages(),
        "temperature": temperature,
        length_field: max_tokens,
        **(extra_body or {}),
    }
    if temperature > 0:
        body["seed"] = sample
    for name in form.left_out:
        body.pop(name, None)
    if format.startswith("json_schema"):
        body["response_format"] = response_format(format == "json_schema", prompt.attributes)
    elif format == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body
