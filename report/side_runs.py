"""Former place of `experiments.identity` and `experiments.speed`: for tables not yet moved."""

from report.experiments.identity import escape_times, excursions, precision_table, precisions
from report.experiments.speed import cost_table

__all__ = ["cost_table", "escape_times", "excursions", "precision_table", "precisions"]
