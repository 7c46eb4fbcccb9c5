"""What a search would do and cost."""

from dataclasses import dataclass
from pathlib import Path

from sgdlab.config.grid import expand
from sgdlab.config.model import Config
from sgdlab.planning.cost import Estimate, Forecast, Shortage, estimate, shortage
from sgdlab.planning.making import make_plan
from sgdlab.planning.memory import assign_memory
from sgdlab.planning.plan import Plan, n_threads
from sgdlab.search.forecast.forecast import forecast
from sgdlab.search.forecast.sample import open_source


@dataclass(frozen=True)
class PlannedSearch:
    """What a search would do and cost; the forecast where this machine was measured.

    ``shortage`` says why it would be refused here and now; None where there is memory for it.
    """

    name: str
    is_synthetic: bool
    plan: Plan
    cost: Estimate
    forecast: Forecast | None = None
    shortage: Shortage | None = None


def plan_search(config: Config, measure: bool, runs_dir: Path) -> PlannedSearch:
    """Plan a search from its config and the headers of its arrays.

    Parameters
    ----------
    measure
        Whether this machine is measured for a forecast, with small files in ``runs_dir``.
    """
    cells, run = expand(config).cells, config.run
    with open_source(config.data) as (source, is_synthetic):
        plan = make_plan(cells, source.shape, run, n_threads(run))
        cost = estimate(plan, len(cells), source.shape, run)
        works = assign_memory(plan.passes, source.shape, run)
        short, expected = shortage(works, source.shape), None
        if measure:
            expected = forecast(works, source, run, runs_dir, cost.memory_bytes)
    return PlannedSearch(config.name, is_synthetic, plan, cost, expected, short)
