"""How large a data set is and how it is split; all that a plan needs of it."""

import math
from dataclasses import dataclass
from fractions import Fraction

from sgdlab.config.model import Data


def split_sizes(n_rows: int, fraction: float) -> tuple[int, int]:
    """Rows for training and for validation.

    ``floor(n_rows * (1 - fraction))`` train, computed from the decimal as it was written:
    in floating point int(4000 * (1 - 0.8)) is 799.
    """
    n_train = math.floor(n_rows * (1 - Fraction(repr(float(fraction)))))
    return n_train, n_rows - n_train


@dataclass(frozen=True)
class Shape:
    """What the headers of a data set say, which is all that a plan needs.

    With ``folds`` each of them holds out its share of the ``n_train`` rows, and ``n_validation``
    is 0.

    Attributes
    ----------
    itemsize, is_fortran
        Of the training file: bytes of a number, and whether its columns lie together.
    has_means
        Whether the means of columns are subtracted.
    """

    n_train: int
    n_validation: int
    n_test: int
    n_features: int
    folds: int | None = None
    itemsize: int = 8
    is_fortran: bool = False
    has_means: bool = False

    @property
    def n_fold_train(self) -> int:
        """Rows that one training sees an epoch; of folds of unequal size, the fewest."""
        return self.n_train - math.ceil(self.n_train / self.folds) if self.folds else self.n_train


def shape_of(
    n_rows: int,
    n_test: int,
    n_features: int,
    data: Data,
    itemsize: int,
    is_fortran: bool = False,
) -> Shape:
    """The shape of a data set whose training file has ``n_rows`` rows."""
    validation = data.validation
    if validation.folds is not None:
        n_train, n_validation = n_rows, 0
    else:
        n_train, n_validation = split_sizes(n_rows, validation.fraction)
    others = (validation.folds, itemsize, is_fortran, data.preprocess != "none")
    return Shape(n_train, n_validation, n_test, n_features, *others)
