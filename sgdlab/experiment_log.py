"""What ``experiment.json`` says, checked once, where it is read."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sgdlab.config import Config
from sgdlab.stored import read_json, reading

START_OVER = "move the run's folder away, or start over with --fresh"

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
CellName = Annotated[str, Field(pattern=r"^[0-9]{4,7}$")]
Number = float | None  # null stands for a number that is not finite


class _Log(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Trajectory(_Log):
    replicate: Index
    cells: list[Index] = Field(min_length=1)


class _Block(_Log):
    index: Index
    window_rows: Count | None
    fold: Index | None
    trajectories: list[_Trajectory] = Field(min_length=1)


class _Pass(_Log):
    chunk_rows: Count
    blas_threads: Count
    blocks: list[_Block] = Field(min_length=1)


class _Shape(_Log):
    n_train: Count
    n_validation: Index
    n_test: Count
    n_features: Count
    folds: Count | None
    itemsize: Count
    is_fortran: bool


class _Data(_Log):
    shape: _Shape
    fingerprint: str


class _Losses(_Log):
    half_mse: Number
    mae: Number


class _Difference(_Log):
    metric: Literal["half_mse", "mae"]
    mean: Number
    standard_error: Number


class _OnRows(_Log):
    training: _Losses
    validation: _Losses
    test: _Losses


class _OnHeldOutRows(_Log):
    validation: _Difference
    test: _Difference


class _Experiment(_Log):
    """Of any run, finished or not."""

    status: Literal["running", "interrupted", "failed", "completed"]
    synthetic: bool
    config: Config
    data: _Data
    plan: list[_Pass]
    final_plan: list[_Pass]
    tested: Literal["best", "all"]
    kept: Literal["best", "all"]
    sessions: list[dict[str, Any]]


class _WithoutBest(_Experiment):
    """Of a finished run in which no cell could be selected."""

    files: dict[str, str]
    best: None
    reason: str


class _WithBest(_Experiment):
    """Of a finished run with a best cell."""

    files: dict[str, str]
    best: CellName
    constant: Number
    constant_losses: _OnRows
    differences: _OnHeldOutRows
    test_losses: dict[CellName, _Losses]
    findings: list[str]


def read_experiment(path: Path) -> dict[str, Any]:
    """The content of ``experiment.json``, with every value that its status promises.

    Raises
    ------
    StorageError
        If it is absent or broken, or a newer sgdlab wrote it.
    """
    content = read_json(path, START_OVER)
    with reading(path, START_OVER):
        _model_of(content).model_validate(content)
    return content


def _model_of(content: dict[str, Any]) -> type[_Experiment]:
    if content.get("status") != "completed":
        return _Experiment
    return _WithoutBest if content.get("best") is None else _WithBest
