"""What a process does that judges many hostile runs."""

import sys
from pathlib import Path

from tests.faults.hostile_runs.judge import Judge, Tally
from tests.faults.hostile_runs.kinds import hostile_kinds

TELLS_EVERY = 500  # runs


def work(folder: Path, job: int, n_jobs: int, n: int, seed: int, only: int | None) -> Tally:
    """Judge every ``n_jobs``-th hostile run."""
    place = folder / f"job-{job}"
    place.mkdir()
    judge, tally = Judge(hostile_kinds(place), place / "sandbox"), Tally()
    for number in [only] if only is not None else range(job, n, n_jobs):
        known = len(tally.complaints)
        judge.judge(number, seed, tally)
        for complaint in tally.complaints[known:]:
            print(complaint.encode("ascii", "backslashreplace").decode(), flush=True)
        if tally.n_runs % TELLS_EVERY == 0:
            print(f"job {job}: {told(tally)}", file=sys.stderr, flush=True)
    return tally


def told(tally: Tally) -> str:
    """What came of the runs so far, in a line."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.kinds.items()))
    codes = ", ".join(f"{count} of {code}" for code, count in sorted(tally.codes.items()))
    most = f"at most {tally.peak_bytes / 1e6:.0f} MB and {tally.longest_s:.2f} s of the processor"
    return (
        f"{tally.n_runs} hostile runs; complaints: {kinds or 'none'}; {most}; exit codes: {codes}"
    )
