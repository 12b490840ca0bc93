"""The production line: from photographs to meshes that touch where the people do, stage after stage.

Each stage reads files and leaves files that a person can read and mend; `apu run` is all of them in a row.
"""

from __future__ import annotations

from apu_losses.generate.config import RunConfig
from apu_losses.generate.contacts import ContactsReport, add_contacts
from apu_losses.generate.inputs import RunInputs, find_inputs
from apu_losses.generate.line.run import GenerateSummary, generate
from apu_losses.generate.line.shard_work import LineOptions
from apu_losses.generate.questions import repair_queries, scene_queries
from apu_losses.generate.run import DryRun, RunSummary, run

__all__ = [
    "ContactsReport",
    "DryRun",
    "GenerateSummary",
    "LineOptions",
    "RunConfig",
    "RunInputs",
    "RunSummary",
    "add_contacts",
    "find_inputs",
    "generate",
    "repair_queries",
    "run",
    "scene_queries",
]
