"""The command `apu doctor`."""

from __future__ import annotations

import typer

from apu_losses.app.console import complain, table


def doctor() -> None:
    """Say what is installed, which kernels would run and why, and which body and region map are found."""
    from apu_losses.app.doctor import examine

    findings = examine()
    table(("topic", "name", "state", "detail"), [(f.topic, f.name, f.state, f.detail) for f in findings])
    problems = sum(f.state == "problem" for f in findings)
    if problems:
        complain("doctor", f"{problems} problem{'s' if problems > 1 else ''} found")
        raise typer.Exit(1)
