"""A block at work: its kernel, the losses of its trajectories, and what became of its cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdlab.config.model import Train
from sgdlab.config.objects import start_of
from sgdlab.engine.direct import DirectKernel
from sgdlab.engine.error_sums import ErrorSums
from sgdlab.engine.kernels import Arrays, Kernel, Place, put_back
from sgdlab.engine.validation import Validated, Validation
from sgdlab.engine.windowed import WindowedKernel
from sgdlab.optim.extremes import are_extreme, has_extremes
from sgdlab.optim.losses import losses_of
from sgdlab.planning.plan import Block
from sgdlab.words.starts import STARTS

DIVERGED_FACTOR = 1000.0  # a running loss above this many times the loss at the start


@dataclass(frozen=True)
class Outcome:
    """What became of one replicate of one cell, in one fold if there are folds.

    ``epochs`` counts those that were trained: all that the cell asked for, or for a diverged cell
    those up to and including the one at whose end that was seen; then ``weights``, ``bias`` and the
    losses are absent. The histories have one value an epoch; where nothing was validated it is NaN.
    Losses are half mean squared errors.
    """

    cell: int
    replicate: int
    status: str  # completed | diverged
    epochs: int
    running_history: NDArray[np.float64]
    validation_history: NDArray[np.float64]
    validation_mae_history: NDArray[np.float64]
    train_loss: float = np.nan
    bias: float = np.nan
    weights: NDArray[Any] | None = None
    fold: int | None = None

    @property
    def running_loss(self) -> float:
        return float(self.running_history[-1])

    @property
    def validation_loss(self) -> float:
        return float(self.validation_history[-1]) if self.status == "completed" else np.nan

    @property
    def validation_mae(self) -> float:
        return float(self.validation_mae_history[-1]) if self.status == "completed" else np.nan


@dataclass
class BlockEpoch:
    """What became known of a block with an epoch.

    ``running_loss`` has one value a trajectory; ``validated`` are losses of this epoch and of
    earlier ones.
    """

    block: int
    running_loss: NDArray[np.float64]
    validated: list[Validated] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


class RunningBlock:
    """The training of a block, driven epoch by epoch by a pass.

    First ``measure_start`` with all training rows if ``starts_from_rows``, so that it is known what
    divergence is measured against. Then in every epoch ``start_epoch``, ``train`` with all rows,
    ``check_divergence``, ``validate`` with all validation rows if ``validates_now``,
    ``measure_training`` with all training rows if ``stops_now``, and ``close_epoch``. A block of a
    fold is validated only if ``stops_now``, and only the trajectories that stop.

    Parameters
    ----------
    targets : float array, shape (n_rows,)
        Of the rows to train, in the dtype of the arithmetic.
    keeps_products
        Whether Gram matrices are kept from one epoch to the next.
    """

    def __init__(
        self, block: Block, n_features: int, targets: NDArray[Any], keeps_products: bool
    ) -> None:
        self.plan = block
        trains = [trajectory.train for trajectory in block.trajectories]
        n_trajectories = len(trains)
        weights = np.stack(
            [
                start_of(trajectory.train, trajectory.replicate).weights(n_features)
                for trajectory in block.trajectories
            ]
        )
        self._dtype = targets.dtype
        self._kernel = _kernel(block, trains, weights, targets, keeps_products)
        self._alive = np.ones(n_trajectories, dtype=bool)
        self._last_epochs = np.array([trajectory.epochs for trajectory in block.trajectories])
        self._stops = {stop.epoch for trajectory in block.trajectories for stop in trajectory.stops}
        self._epoch = 0
        self._start = ErrorSums(n_trajectories)
        self._start_loss = _loss_of_constants(self._kernel.bias, targets)
        self._validation = Validation(n_trajectories, n_features, targets.dtype)
        # Three losses of every trajectory after every epoch; what is to come takes no memory yet.
        self._history = np.empty((block.epochs, 3, n_trajectories))
        self._n_closed = 0  # epochs that are over
        self._n_rows = 0  # of the epoch
        self._running_loss = np.full(n_trajectories, np.nan)
        self._diverged_now = np.zeros(n_trajectories, dtype=bool)
        self._stopping = np.empty(0, np.int64)
        self._training = ErrorSums(0)

    @property
    def is_done(self) -> bool:
        """Whether no trajectory has anything left to train."""
        return not np.any(self._alive & (self._last_epochs > self._epoch))

    @property
    def starts_from_rows(self) -> bool:
        """Whether the targets do not tell the loss at the start, since not all weights are zero."""
        names = {trajectory.train.initial_weights for trajectory in self.plan.trajectories}
        return not all(STARTS[name].is_zero for name in names)

    def measure_start(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        self._start.add(self._kernel.predict(rows, slice(None)), targets)
        self._start_loss = self._start.half_mse

    def start_epoch(self, n_rows: int) -> None:
        self._epoch += 1
        self._n_rows = n_rows
        self._kernel.start_epoch(n_rows)

    def train(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        if len(rows):  # a fold may hold out a whole chunk
            self._kernel.step(rows, targets)

    def check_divergence(self) -> None:
        """Stop every trajectory whose running loss is not finite or far above its start."""
        running_loss = self._kernel.squared_errors / (2 * self._n_rows)
        is_small = running_loss <= DIVERGED_FACTOR * self._start_loss
        is_small &= np.isfinite(running_loss)  # the loss at the start may be infinite too
        is_small |= self._n_rows == 0  # of few rows drawn with replacement a fold may get none
        self._running_loss = running_loss
        self._diverged_now = self._alive & ~is_small
        self._alive &= is_small
        if self._diverged_now.any():
            self._kernel.freeze(self._diverged_now)
        self._stopping = self._stopping_at(self._epoch)
        self._training = ErrorSums(len(self._stopping))
        validated = self._stopping
        if self.plan.fold is None:
            validated = np.flatnonzero(self._alive & (self._last_epochs >= self._epoch))
        if len(validated):
            self._validation.add(self._epoch, validated, self._weights, self._kernel.bias)

    @property
    def _weights(self) -> NDArray[Any]:
        """Of all trajectories, in the precision that was asked for."""
        return self._kernel.weights.astype(self._dtype, copy=False)

    def _stopping_at(self, epoch: int) -> NDArray[np.int64]:
        """The trajectories that have a stop at an epoch and have not diverged."""
        if epoch not in self._stops:
            return np.empty(0, np.int64)
        stops = [{stop.epoch for stop in trajectory.stops} for trajectory in self.plan.trajectories]
        return np.flatnonzero(self._alive & [epoch in of_one for of_one in stops])

    @property
    def validates_now(self) -> bool:
        """Whether the losses of epochs up to this one are to be known now."""
        is_awaited = self._validation.is_full or self.stops_now or self._diverged_now.any()
        return bool(is_awaited) and not self._validation.is_empty

    def validate(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        self._validation.measure(rows, targets)

    @property
    def stops_now(self) -> bool:
        """Whether some trajectory has a stop at this epoch."""
        return len(self._stopping) > 0

    def measure_training(self, rows: NDArray[Any], targets: NDArray[Any]) -> None:
        self._training.add(self._kernel.predict(rows, self._stopping), targets)

    def close_epoch(self) -> BlockEpoch:
        """The epoch's losses, and the outcomes of the cells that ended in it."""
        self._n_closed = self._epoch
        self._history[self._epoch - 1] = np.nan
        self._history[self._epoch - 1, 0] = self._running_loss
        epoch = BlockEpoch(self.plan.index, self._running_loss)
        if self.validates_now:
            epoch.validated += self._validation.take()
            for validated in epoch.validated:
                known = (validated.half_mse, validated.mae)
                self._history[validated.epoch - 1, 1:, validated.members] = np.transpose(known)
        if not self.stops_now and not self._diverged_now.any():
            return epoch
        histories = np.ascontiguousarray(np.moveaxis(self._history[: self._epoch], 0, -1))
        for n in np.flatnonzero(self._diverged_now).tolist():
            epoch.outcomes += self._outcomes(n, "diverged", histories[:, n])
        weights = self._weights
        for n, loss in zip(self._stopping.tolist(), self._training.half_mse.tolist(), strict=True):
            ended = {"train_loss": loss, "bias": float(self._kernel.bias[n]), "weights": weights[n]}
            epoch.outcomes += self._outcomes(n, "completed", histories[:, n], **ended)
        return epoch

    def state(self) -> Arrays:
        """All that the training goes on from, by name: the arrays themselves.

        It can be taken out between two epochs, and between two chunks of an epoch's training.
        """
        own = {
            "alive": self._alive,
            "start_loss": self._start_loss,
            "history": self._history[: self._n_closed],
        }
        return (
            own
            | {f"kernel.{name}": array for name, array in self._kernel.state().items()}
            | {f"validation.{name}": array for name, array in self._validation.state().items()}
        )

    def restore(self, state: Mapping[str, NDArray[Any]], n_closed: int, place: Place) -> None:
        """Go on from where the training of the same block had this state.

        Parameters
        ----------
        n_closed
            After how many closed epochs that was.
        place
            Of the kernel: the last row of the last of these, or a row of the next one.

        Raises
        ------
        KeyError, ValueError
            If it is not the state of such a block at such a place.
        """
        of_kernel = _part(state, "kernel.")
        if (found := self._kernel.place_of(of_kernel)) != place:
            raise ValueError(f"state of {found} in the place of {place}")
        self._epoch, self._n_rows, self._n_closed = place.epoch + 1, place.n_rows, n_closed
        put_back(self._alive, state["alive"])
        put_back(self._start_loss, state["start_loss"])
        put_back(self._history[:n_closed], state["history"])
        self._kernel.restore(of_kernel)
        self._validation.restore(_part(state, "validation."))
        if max(self._validation.epochs, default=0) > n_closed:
            raise ValueError("validation: epochs that are not over")

    def _outcomes(
        self, n: int, status: str, histories: NDArray[np.float64], **ended: Any
    ) -> list[Outcome]:
        """For the cells of trajectory n that end now: at this stop, or with its divergence."""
        trajectory = self.plan.trajectories[n]
        how = (trajectory.replicate, status, self._epoch, *histories)
        ended_in = ended | {"fold": self.plan.fold}
        return [
            Outcome(stop.cell, *how, **ended_in)
            for stop in trajectory.stops
            if (stop.epoch == self._epoch if ended else stop.epoch >= self._epoch)
        ]


def _part(state: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    """The arrays whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}


def _kernel(
    block: Block,
    trains: Sequence[Train],
    weights: NDArray[np.float64],
    targets: NDArray[Any],
    keeps_products: bool,
) -> Kernel:
    if are_extreme(targets) or any(map(has_extremes, trains)):
        return DirectKernel(trains, weights, np.float64, is_literal=True)
    if block.window_rows is None:
        return DirectKernel(trains, weights, targets.dtype)
    return WindowedKernel(trains, weights, targets.dtype, block.window_rows, keeps_products)


def _loss_of_constants(bias: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Half the mean squared error of predictions that are the bias alone, for every bias."""
    distinct, inverse = np.unique(bias, return_inverse=True)
    return np.array([losses_of(b - targets).half_mse for b in distinct])[inverse]
