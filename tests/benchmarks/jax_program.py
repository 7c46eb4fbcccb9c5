"""The homework's grid as JAX programs: 64 models, trained for 64 epochs and validated after each.

As in the engine, models that differ only in epochs are trained once, and the losses at 16, 32, 48
and 64 epochs are read off. The models of one batch size are trained together, in one compiled
program a batch size (or pair of them); the programs differ in how the arrays are laid out.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.benchmarks.homework import BATCH_SIZES, EPOCHS, L2, LEARNING_RATES

jax.config.update("jax_enable_x64", True)

BIAS = 0.1
N_EPOCHS = max(EPOCHS)
PAIRS = ((160, 640), (200, 400))  # the larger is a multiple of the smaller
RATES, DECAYS = (each.ravel() for each in np.meshgrid(LEARNING_RATES, L2, indexing="ij"))
N_MODELS = len(RATES)  # of one batch size

# A program: no arguments; validation losses of every batch size, shape (N_EPOCHS, N_MODELS).
Program = Callable[[], dict[int, np.ndarray]]


def programs(X, y, X_validation, y_validation) -> dict[str, Program]:
    """By layout; each one batch size after the other, and on two threads of the caller's."""
    parts = {
        "vmap of grad, scan over batches": (vmap_grad_scan, BATCH_SIZES),
        "vmap of grad, batches unrolled": (vmap_grad_unrolled, BATCH_SIZES),
        "W @ X.T, scan over batches": (products_scan, BATCH_SIZES),
        "W @ X, X stored transposed": (transposed_scan, BATCH_SIZES),
        "W @ X.T, pairs of sizes share tiles": (shared_tiles_scan, PAIRS),
    }
    found = {}
    for name, (layout, sizes) in parts.items():
        compiled = [
            _training(*layout(X, y, each), jnp.asarray(X_validation), jnp.asarray(y_validation))
            for each in sizes
        ]
        for threads in (1, 2):
            found[f"{name}, {threads} at a time"] = _together(compiled, sizes, threads)
    return found


def _training(epoch: Callable, batches: Any, n_models: int, X_validation, y_validation) -> Callable:
    """The whole training as one compiled function without arguments."""

    def one_epoch(batches, validation, W):
        W = epoch(W, batches)
        errors = W @ validation[0].T + BIAS - validation[1]
        return W, jnp.mean(errors**2, axis=1) / 2

    @jax.jit
    def train(batches, validation):
        W = jnp.zeros((n_models, X_validation.shape[1]), X_validation.dtype)
        return lax.scan(lambda W, _: one_epoch(batches, validation, W), W, None, N_EPOCHS)

    validation = X_validation, y_validation
    return lambda: jax.block_until_ready(train(batches, validation))[1]


def _together(compiled: Sequence[Callable], sizes: Sequence, threads: int) -> Program:
    def run():
        with ThreadPoolExecutor(threads) as pool:
            losses = list(pool.map(lambda train: train(), compiled))
        found = {}
        for each, columns in zip(sizes, losses, strict=True):
            for n, size in enumerate(np.atleast_1d(each).tolist()):
                found[size] = np.asarray(columns[:, n * N_MODELS : (n + 1) * N_MODELS])
        return found

    return run


def vmap_grad_scan(X, y, size: int):
    """The textbook's way: the gradient of one model's loss, vectorised over the models."""
    step = _vmap_grad_step(X.dtype)
    return lambda W, batches: lax.scan(step, W, batches)[0], _stacked(X, y, size), N_MODELS


def vmap_grad_unrolled(X, y, size: int):
    """The same with all steps of an epoch written out, so that no batch is copied for its step."""
    step = _vmap_grad_step(X.dtype)

    def epoch(W, batches):
        for batch in batches:
            W, _ = step(W, batch)
        return W

    return epoch, list(zip(*_stacked(X, y, size), strict=True)), N_MODELS


def _vmap_grad_step(dtype):
    def loss(w, decay, X, y):
        return jnp.mean((X @ w + BIAS - y) ** 2) / 2 + decay / 2 * (w @ w)

    gradients = jax.vmap(jax.grad(loss), in_axes=(0, 0, None, None))
    rates, decays = jnp.asarray(RATES, dtype), jnp.asarray(DECAYS, dtype)
    return lambda W, batch: (W - rates[:, None] * gradients(W, decays, *batch), None)


def products_scan(X, y, size: int):
    """The two products of a step written by hand."""
    factors, shrinking = _factors(X.dtype, [size])

    def step(W, batch):
        rows, targets = batch
        errors = W @ rows.T + BIAS - targets
        return W * shrinking - (errors * factors) @ rows, None

    return lambda W, batches: lax.scan(step, W, batches)[0], _stacked(X, y, size), N_MODELS


def transposed_scan(X, y, size: int):
    """The same, a batch stored as (n_features, n_rows)."""
    factors, shrinking = _factors(X.dtype, [size])

    def step(W, batch):
        columns, targets = batch
        errors = W @ columns + BIAS - targets
        return W * shrinking - (errors * factors) @ columns.T, None

    rows, targets = _stacked(X, y, size)
    batches = jnp.asarray(np.ascontiguousarray(np.swapaxes(rows, 1, 2))), targets
    return lambda W, batches: lax.scan(step, W, batches)[0], batches, N_MODELS


def shared_tiles_scan(X, y, sizes: tuple[int, int]):
    """Models of two batch sizes share the products of each tile, as in the engine."""
    small, large = sizes
    factors, shrinking = _factors(X.dtype, sizes)

    def step(W, batch):
        of_small, of_large = W[:N_MODELS], W[N_MODELS:]
        total = 0.0
        for rows, targets in zip(*batch, strict=True):
            errors = jnp.concatenate([of_small, of_large]) @ rows.T + BIAS - targets
            tile = (errors * factors) @ rows
            of_small = of_small * shrinking[:N_MODELS] - tile[:N_MODELS]
            total = total + tile[N_MODELS:]
        of_large = of_large * shrinking[N_MODELS:] - total
        return jnp.concatenate([of_small, of_large]), None

    batches = tuple(
        part.reshape(-1, large // small, *part.shape[1:]) for part in _stacked(X, y, small)
    )
    return lambda W, batches: lax.scan(step, W, batches)[0], batches, 2 * N_MODELS


def _stacked(X, y, size: int):
    """Batches of equal size, shapes (n_batches, size, n_features) and (n_batches, size)."""
    return jnp.asarray(X.reshape(-1, size, X.shape[1])), jnp.asarray(y.reshape(-1, size))


def _factors(dtype, sizes: Sequence[int]):
    """Of the errors and of the weights in a step of each model, shapes (n_models, 1)."""
    factors = np.concatenate([RATES / size for size in sizes])[:, None]
    shrinking = np.tile(1 - RATES * DECAYS, len(sizes))[:, None]
    return jnp.asarray(factors, dtype), jnp.asarray(shrinking, dtype)
