"""The page of a data set: counts, histograms, reasons and pictures in one file that needs no server."""

from __future__ import annotations

from apu_losses.report.page import ReportOptions, is_report, write_report

__all__ = ["ReportOptions", "is_report", "write_report"]
