"""What the figures of ``scaling-rule`` say about the claim, in plain words."""

import math
from collections.abc import Iterator, Mapping

from sgdlab.lab.scaling_rule.comparison import FEWEST_FOR_A_VERDICT, MOST_TO_TELL, Exactly, Law
from sgdlab.lab.scaling_rule.design import BUDGETS, RULES
from sgdlab.lab.scaling_rule.measure import Scaled, ScalingRule
from sgdlab.lab.scaling_rule.tuning import Tuning
from sgdlab.uncertainty.bounds import Estimate

CLAIM = "x k"  # the homework's: "when the minibatch size is multiplied by k, multiply ..."
IN_WORDS = {"x k": "times k", "x sqrt k": "times sqrt k", "x 1": "unchanged"}
FOUND = {  # the plainest first
    "mean": "the means are {} spreads apart",
    "spread": "the spread changes by {} of itself",
    "distance": "the energy distance is {} spreads",
}


def between(estimate: Estimate) -> str:
    """``-0.43 to -0.38``."""
    largest = max(abs(estimate.low), abs(estimate.high))
    places = 2 if largest < 10 else 1 if largest < 100 else 0
    return f"{estimate.low:.{places}f} to {estimate.high:.{places}f}"


def sentences(result: ScalingRule) -> Iterator[str]:
    """What was found, a sentence or two a line."""
    for budget in BUDGETS:
        yield _verdict(result, budget)
    yield _stability(result)
    yield _tuned(result.tunings)


def _verdict(result: ScalingRule, budget: str) -> str:
    by_verdict: dict[str, list[Scaled]] = {}
    for scaled in result.scaled:
        if (scaled.budget, scaled.rule) == (budget, CLAIM):
            by_verdict.setdefault(scaled.verdict, []).append(scaled)
    parts = (_part(result, verdict, found) for verdict, found in by_verdict.items())
    claim = f"At equal {budget} the claim 'batch size times k, so learning rate times k'"
    return f"{claim} {'; it '.join(parts)}.{_other_rules(result, budget)}"


def _part(result: ScalingRule, verdict: str, found: list[Scaled]) -> str:
    last, n_replicates = found[-1], result.base.train.replicates
    where = f"at k = {', '.join(str(scaled.factor) for scaled in found)}"
    match last.against_one:
        case None:
            return f"breaks down {where}: {last.n_diverged} of {n_replicates} replicates diverge"
        case Exactly() as exactly if verdict == "same":
            rounding = "but for rounding" if exactly.apart else "in every bit"
            return f"holds {where}: without chance the model ends where k = 1 does, {rounding}"
        case Exactly() as exactly:
            far = f"{exactly.apart:.2g} of its way from that of k = 1 at k = {last.factor}"
            return f"does not hold exactly {where}: without chance the model ends {far}"
        case Law() as law if verdict == "holds":
            within = f"within {result.margin:g} of the spread at k = 1"
            return f"holds here {where}: energy distance, means and spread stay {within}"
        case Law() as law if verdict == "fails":
            beyond = [name for name in FOUND if law.estimates[name].is_beyond(result.margin)]
            figure = FOUND[beyond[0]].format(between(law.estimates[beyond[0]]))
            return f"fails here {where}: at k = {last.factor} {figure} (p = {law.p:.2g})"
    return f"cannot be told {where} with {n_replicates} replicates{_how_many(result, found)}"


def _how_many(result: ScalingRule, found: list[Scaled]) -> str:
    if result.base.train.replicates < FEWEST_FOR_A_VERDICT:
        return f", where a verdict needs {FEWEST_FOR_A_VERDICT}"
    laws = [scaled.against_one for scaled in found if isinstance(scaled.against_one, Law)]
    if any(law.times_to_tell(result.margin) is None for law in laws):
        return "; how many would tell is not known: nothing is clearly apart yet"
    needed = [law.replicates_to_tell(result.margin) for law in laws]
    known = [number for number in needed if number is not None]
    if len(known) < len(needed):
        return f"; more than {MOST_TO_TELL:,} would be needed"
    return f"; about {max(known)} would tell"


def _other_rules(result: ScalingRule, budget: str) -> str:
    holding = {
        rule: [k for k, verdict in verdicts.items() if verdict in ("holds", "same")]
        for rule in RULES
        if rule != CLAIM
        for verdicts in [result.verdicts(budget, rule)]
    }
    return "".join(
        f" {IN_WORDS[rule].capitalize()}, it holds at k = {', '.join(map(str, factors))}."
        for rule, factors in holding.items()
        if factors
    )


def _stability(result: ScalingRule) -> str:
    limits = [
        f"{IN_WORDS[rule]} must diverge beyond k = {_count(beyond)}"
        for rule in RULES
        if math.isfinite(beyond := result.base.breaks_beyond(rule))
    ]
    diverged: Mapping[str, None] = dict.fromkeys(
        f"{IN_WORDS[scaled.rule]} at k = {scaled.factor}"
        for scaled in result.scaled
        if scaled.n_diverged
    )
    return f"By the limit, {', '.join(limits)}; diverged here: {', '.join(diverged) or 'none'}."


def _count(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _tuned(tunings: tuple[Tuning, ...]) -> str:
    interval = ""
    if any(tuning.low is not None for tuning in tunings):
        interval = "95 % intervals from resampled replicates and the grid's steps; "
    return (
        "Tuned, the learning rate follows a power of the batch size: "
        f"{' and '.join(map(_power, tunings))}; {interval}the claim's power is 1."
    )


def _power(tuning: Tuning) -> str:
    at = f"at equal {tuning.budget}"
    left_out = ", ".join(map(str, tuning.left_out))
    without = f", without k = {left_out}, where every rate diverged" if left_out else ""
    if tuning.exponent is None:
        return f"not known {at}, as {_why_unknown(tuning)}"
    if tuning.low is None or tuning.high is None:
        return f"{tuning.exponent:.2f} {at}{without} (too few replicates for an interval)"
    return f"{tuning.exponent:.2f} {at}{without} ({tuning.low:.2f} to {tuning.high:.2f})"


def _why_unknown(tuning: Tuning) -> str:
    if any(rate.fits_with_others for rate in tuning.rates):
        return "several rates fit every row"
    if any(rate.is_on_edge for rate in tuning.rates):
        return "a best rate lies on the edge of the grid"
    return "too many rates diverged"
