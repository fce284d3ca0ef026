"""Former names of `experiments.runs` and `recheck.status`: for chapters not yet moved."""

from report.experiments import SMOKE, runs
from report.recheck import status as checked

__all__ = ["SMOKE", "checked", "runs"]
