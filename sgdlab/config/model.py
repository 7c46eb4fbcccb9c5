"""What a config file may say: frozen models, one field a key.

``Train`` holds every hyperparameter of one cell, with those that belong to a single word of
:mod:`sgdlab.words`. The section ``train`` of a file may leave any of them out, and ``grid`` may
give a list of values for any of them but two, so both are derived from ``Train`` and a new
hyperparameter is written down once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, create_model, model_serializer
from pydantic.fields import FieldInfo

from sgdlab.config.fields import AutoOrBytes, AutoOrCount, Folds, Model, Text
from sgdlab.words.losses import LOSSES
from sgdlab.words.metrics import METRICS
from sgdlab.words.optimizers import OPTIMIZERS
from sgdlab.words.orders import ORDERS
from sgdlab.words.registry import Registry
from sgdlab.words.schedules import SCHEDULES
from sgdlab.words.starts import STARTS

MAX_CELLS = 1_000_000
NOT_AXES = {
    "seed": "a search must not pick a lucky seed; use train.replicates",
    "replicates": "every cell has the same number of them; write it under train",
}
REQUIRED = ("batch_size", "learning_rate", "epochs")


class Validation(Model):
    """Which of the training file's rows are held out."""

    fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the rows that is held out; their number is rounded up",
    )
    folds: Folds = Field(
        None, description="instead of fraction: cross-validation, every row held out by one fold"
    )
    take: Literal["tail", "random"] = Field(
        "tail",
        description="the last rows of the file, or random ones;"
        " of folds: consecutive pieces of the file, or random rows",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of the random split")

    @model_serializer(mode="wrap")
    def _without_what_is_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A fraction or folds."""
        values: dict[str, Any] = dump(self)
        values.pop("folds" if self.folds is None else "fraction", None)
        return values


class Data(Model):
    """Where the arrays are and what is done to them before training."""

    path: Text | None = Field(None, description="folder of the arrays, relative to the config file")
    prefix: Text = Field(
        "", description="of the files: PREFIX + Xtr.npy, ytr.npy, Xte.npy, yte.npy"
    )
    validation: Validation = Field(Validation(), description="the split")
    divide_by: float = Field(1.0, gt=0, description="divides X, for example 255 for uint8 images")
    preprocess: Literal["none", "center", "standardize"] = Field(
        "none", description="with statistics of the training rows alone"
    )
    target_unit: Text = Field("", description="of y, for the headings of tables")
    if_missing: Literal["fail", "synthesize"] = Field(
        "fail", description="write stand-in arrays if the folder holds no arrays"
    )

    @property
    def folder(self) -> Path:
        """That of ``path``, which is only left out where the arrays are in memory."""
        assert self.path is not None
        return Path(self.path)

    def without_files(self) -> "Data":
        """The same for arrays in memory."""
        return self.model_copy(update={"path": None, "prefix": "", "if_missing": "fail"})


class _Train(Model):
    """The hyperparameters that every cell has, whatever its words are."""

    loss: str = Field(
        "squared", description="half the squared error, the absolute error, or huber's mix of both"
    )
    order: str = Field("shuffle_once", description="in which the rows are seen")
    batch_size: int = Field(
        ge=1, lt=2**31, description="rows a step; the last batch may be shorter"
    )
    learning_rate: float = Field(gt=0, description="step size")
    epochs: int = Field(ge=1, le=10**6, description="passes over the training rows")
    l2: float = Field(0.0, ge=0, description="adds l2/2 * w.w to the objective; never to the bias")
    optimizer: str = Field("sgd", description="how gradients become steps, as PyTorch defines them")
    weight_decay: float = Field(
        0.0,
        ge=0,
        description="shrinks w by learning_rate * weight_decay a step; not in the loss",
    )
    schedule: str = Field(
        "constant", description="of the learning rate, from 1 to final_factor times what is given"
    )
    warmup: float = Field(
        0.0, ge=0, lt=1, description="share of the epochs in which the learning rate rises from 0"
    )
    initial_weights: str = Field("zeros", description="normal: standard normal times initial_scale")
    initial_bias: float = Field(0.0, description="the bias at the start")
    train_bias: bool = Field(True, description="false: the bias stays at initial_bias")
    precision: Literal["float64", "float32"] = Field("float64", description="of the arithmetic")
    seed: int = Field(0, ge=0, lt=2**32, description="of the order of rows and of initial weights")
    replicates: int = Field(
        1, ge=1, le=10_000, description="trainings of each cell, each with its own random numbers"
    )


# The keys that take words, with the objects that the words stand for.
WORDS: dict[str, Registry[Any]] = {
    "loss": LOSSES,
    "order": ORDERS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "initial_weights": STARTS,
}


def hyperparameters(words: Mapping[str, Registry[Any]]) -> dict[str, Any]:
    """Every key of ``train`` with its type and field; a word's own keys follow the word's key.

    Raises
    ------
    ValueError
        If a word has a hyperparameter whose name is a key of something else.
    """
    keys: dict[str, Any] = {}
    for name, plain in _Train.model_fields.items():
        if name not in words:
            keys[name] = (plain.annotation, plain)
            continue
        names = words[name].names_for_config()
        keys[name] = (Literal[names], plain)
        for own, declared in words[name].hyperparameters().items():
            if own in keys or own in _Train.model_fields or own == "zip" or hasattr(Model, own):
                raise ValueError(f"{own} of a word of train.{name}: is another key of a config")
            bounds: dict[str, Any] = dict(declared.bounds)
            field = Field(declared.default, description=declared.description, **bounds)
            keys[own] = (type(declared.default), field)
    return keys


if TYPE_CHECKING:
    Train = _Train  # what can be asked of a cell without knowing its words
else:
    Train = create_model(
        "Train",
        __base__=Model,
        __doc__="Every hyperparameter of one cell.",
        **hyperparameters(WORDS),
    )


_KEYS = set(Train.model_fields)  # whoever copies a cell copies this too


def train_of(values: dict[str, Any]) -> Train:
    """A cell with all of its hyperparameters, which are not checked again.

    Takes the mapping itself: of a million cells, ``model_construct`` would keep 3 kB each.
    """
    train = Train.__new__(Train)
    object.__setattr__(train, "__dict__", values)
    object.__setattr__(train, "__pydantic_fields_set__", _KEYS)
    object.__setattr__(train, "__pydantic_extra__", None)
    object.__setattr__(train, "__pydantic_private__", None)
    return train


class Run(Model):
    """How, not what: none of these changes which rows are seen when."""

    memory_budget: AutoOrBytes = Field(
        "auto",
        description="of rows that are held, others are streamed; auto: 2 GB, or a quarter of all",
    )
    threads: AutoOrCount = Field("auto", description="auto: one a core")
    trajectories_per_block: AutoOrCount = Field(
        "auto", description="a number gives the same bits on machines with other core counts"
    )
    checkpoint_every_s: float = Field(
        5.0,
        gt=0,
        description="seconds from one kept state of a training to the next; at first fewer",
    )


class Select(Model):
    """How the best cell is chosen, on the validation rows."""

    metric: Literal[METRICS.names_for_config()] = Field(  # type: ignore[valid-type]
        "half_mse", description="half the mean squared error, or the mean absolute error"
    )
    rule: Literal["minimum", "one_standard_error"] = Field(
        "minimum",
        description="the smallest value, ties: the earlier; or, with folds, of the cells within one"
        " standard error of it that with the largest l2, then the smallest learning_rate * epochs",
    )


def _value_type(field: FieldInfo) -> Any:
    """The type of a hyperparameter with its bounds."""
    return Annotated[field.annotation, Field(), *field.metadata]


def _optional(name: str) -> Any:
    """The field of a section in which every key may be left out."""
    field = Train.model_fields[name]
    default = None if field.is_required() else field.default
    return (_value_type(field), Field(default, description=field.description))


def _axis(name: str) -> Any:
    """The field of a grid: one or more values of a hyperparameter."""
    value = _value_type(Train.model_fields[name])
    values = Annotated[tuple[value, ...], Field(min_length=1, strict=False)]  # type: ignore[valid-type]
    return (values, Field(None, description=f"values of train.{name}"))


_AXES: dict[str, Any] = {name: _axis(name) for name in Train.model_fields if name not in NOT_AXES}
_SECTION: dict[str, Any] = {name: _optional(name) for name in Train.model_fields}

TrainSection: type[Model] = create_model(
    "TrainSection", __base__=Model, __doc__="One value for every cell.", **_SECTION
)
Zip: type[Model] = create_model(
    "Zip", __base__=Model, __doc__="Axes of equal length, taken together.", **_AXES
)
_AXES["zip"] = (Zip, Field(None, description="axes of equal length, taken together"))
SubGrid: type[Model] = create_model(
    "SubGrid", __base__=Model, __doc__="Every combination of the axes' values.", **_AXES
)


class Config(Model):
    """A whole config file, with ``grid`` as a list even where the file has a single mapping."""

    name: Annotated[Text, Field(min_length=1)] = Field(
        "experiment", description="the first part of the run's name; the file's name if left out"
    )
    data: Data
    train: TrainSection = Field(TrainSection(), description="one value for every cell")
    grid: Annotated[tuple[SubGrid, ...], Field(strict=False)] = Field(
        (), description="values for keys of train: every combination; a list is a union"
    )
    run: Run = Run()
    select: Select = Select()
