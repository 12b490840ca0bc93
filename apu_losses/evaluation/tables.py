"""Tables as plain text, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FORMATS = ("text", "markdown", "latex", "json")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        title: what it shows.
        header: names of the columns; the first is that of the rows' names.
        rows: cells, as many each as the header.
        notes: what stands below.
        bold: ``(row, column)`` of cells to be set in bold, where the format can.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"a row must have {len(self.header)} cells, got {len(row)}: {row}")

    def text(self) -> str:
        """In columns of one width."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        drawn = [_padded(line, widths) for line in lines]
        rule = "-" * len(drawn[0])
        lines_out = [self.title, rule, drawn[0], rule, *drawn[1:], rule, *self.notes]
        return "\n".join(line.rstrip() for line in lines_out) + "\n"

    def markdown(self) -> str:
        """As a Markdown table; best values in bold."""
        lines = [
            f"**{_markdown(self.title)}**",
            "",
            "| " + " | ".join(map(_markdown, self.header)) + " |",
            "| --- " + "| ---: " * (len(self.header) - 1) + "|",
        ]
        for number, row in enumerate(self.rows):
            cells = [
                f"**{_markdown(cell)}**" if (number, column) in self.bold and cell else _markdown(cell)
                for column, cell in enumerate(row)
            ]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", *(f"- {_markdown(note)}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        r"""As a ``table`` for ``booktabs``; best values in ``\textbf``."""
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(' '.join([self.title + '.', *(_sentence(note) for note in self.notes)]))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
            r"\toprule",
            " & ".join(map(_latex, self.header)) + r" \\",
            r"\midrule",
        ]
        for number, row in enumerate(self.rows):
            cells = [
                rf"\textbf{{{_latex(cell)}}}" if (number, column) in self.bold and cell else _latex(cell)
                for column, cell in enumerate(row)
            ]
            lines.append(" & ".join(cells) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"

    def write(self, form: str) -> str:
        """In one of the formats ``"text"``, ``"markdown"``, ``"latex"``.

        Raises:
            ValueError: on another one.
        """
        writers = {"text": self.text, "markdown": self.markdown, "latex": self.latex}
        if form not in writers:
            raise ValueError(f"form must be one of {', '.join(writers)}, got {form!r}")
        return writers[form]()


def _padded(line: Sequence[str], widths: Sequence[int]) -> str:
    first = line[0].ljust(widths[0])
    cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
    return "  ".join([first, *cells])


def _markdown(text: str) -> str:
    for mark in ("\\", "|", "*", "_"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _sentence(note: str) -> str:
    return note if note.endswith(".") else f"{note}."
