"""Which rows a fold holds out, and the statistics of the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from sgdlab.config.model import Data, Validation
from sgdlab.data import statistics as walk_module
from sgdlab.data.dataset import open_dataset
from sgdlab.data.folds import assign_folds, fold_sizes
from sgdlab.data.npy import NpyFile
from sgdlab.data.statistics import column_statistics
from sgdlab.errors import DataError


def assigned(n_rows, n_folds, **validation):
    return assign_folds(n_rows, n_folds, Validation(folds=n_folds, **validation))


@given(st.integers(2, 40), st.integers(0, 300), st.sampled_from(["tail", "random"]))
def test_every_row_is_held_out_once_and_folds_are_of_almost_equal_size(n_folds, more, take):
    n_rows = n_folds + more
    folds = assigned(n_rows, n_folds, take=take, seed=more)
    sizes = np.bincount(folds, minlength=n_folds)
    assert sizes.sum() == len(folds) == n_rows
    assert sizes.tolist() == fold_sizes(n_rows, n_folds).tolist()
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("n_rows", "n_folds"), [(130, 5), (11, 4), (7, 7), (4000, 5)])
def test_consecutive_pieces_are_those_of_scikit_learn(n_rows, n_folds):
    folds = assigned(n_rows, n_folds)
    for fold, (_, held_out) in enumerate(KFold(n_folds).split(np.zeros(n_rows))):
        assert np.flatnonzero(folds == fold).tolist() == held_out.tolist()


def test_random_folds_depend_on_their_seed_alone():
    first, again, other = (assigned(100, 5, take="random", seed=seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert first.tolist() != assigned(100, 5).tolist()


@pytest.mark.parametrize("take", ["tail", "random"])
@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_fold_sees_the_bits_of_a_data_set_of_its_rows_alone(
    preprocess, take, precision, data_dir, arrays, tmp_path
):
    """Divided, and centred by the statistics of the rows that are not held out."""
    validation = {"folds": 3, "take": take}
    settings = {"divide_by": 3.0, "preprocess": preprocess}
    config = Data(path=str(data_dir), validation=validation, **settings)
    with open_dataset(config) as dataset:
        for n, fold in enumerate(dataset.folds):
            kept, held_out = (np.flatnonzero((dataset.held_out == n) == side) for side in (0, 1))
            folder = tmp_path / f"{n}"
            folder.mkdir()
            together = np.concatenate([kept, held_out])
            for part in ("Xtr", "ytr"):
                np.save(folder / f"{part}.npy", arrays[part][together])
            for part in ("Xte", "yte"):
                np.save(folder / f"{part}.npy", arrays[part])
            share = {"fraction": (len(held_out) - 0.5) / len(together)}
            alone = Data(path=str(folder), validation=share, **settings)
            numbers = np.arange(130)
            [chunk] = dataset.pooled(precision).chunks(130)
            with open_dataset(alone) as single:
                assert single.shape.n_train == len(kept)
                [training] = single.training(precision).chunks(130)
                [validation] = single.validation(precision).chunks(130)
            for found, expected in (
                (fold.training(chunk, numbers), training),
                (fold.validation(chunk, numbers), validation),
            ):
                for one, other in zip(found, expected, strict=True):
                    assert one.tobytes() == other.tobytes()


def test_statistics_of_all_folds_take_two_walks(data_dir, monkeypatch):
    n_read = 0
    read_rows = NpyFile.read_rows

    def counting(file, rows, *arguments):
        nonlocal n_read
        found = read_rows(file, rows, *arguments)
        n_read += len(found) if file.n_features == 9 else 0
        return found

    monkeypatch.setattr(NpyFile, "read_rows", counting)
    monkeypatch.setattr(walk_module, "READ_BYTES", 8 * 9 * 13)
    config = Data(path=str(data_dir), validation={"folds": 5}, preprocess="standardize")
    with open_dataset(config) as dataset:
        assert len(dataset.folds) == 5
    assert n_read <= 2 * 130 + 5  # and the first row of every fold


def test_a_column_that_varies_in_the_held_out_rows_alone_is_constant(tmp_path, monkeypatch):
    X = np.full((1000, 2), 0.1)
    X[:100, 0] = np.arange(100)
    X[:, 1] = np.arange(1000)
    np.save(tmp_path / "X.npy", X)
    monkeypatch.setattr(walk_module, "READ_BYTES", 8 * 2 * 37)
    held_out = np.repeat([0, 1], [100, 900])
    with NpyFile(tmp_path / "X.npy") as file:
        (mean, scale, _), _ = column_statistics(file, np.arange(1000), 1.0, True, held_out)
        [(mean_of_all, *_)] = column_statistics(file, np.arange(1000), 1.0, True)
    assert (mean[0], scale[0]) == (0.1, 1.0)
    assert mean_of_all[0] == pytest.approx(X[:, 0].mean())
    assert scale[1] == pytest.approx(X[100:, 1].std())


def test_more_folds_than_rows_are_an_error(data_dir):
    config = Data(path=str(data_dir), validation={"folds": 131})
    with pytest.raises(DataError) as caught, open_dataset(config):
        pass
    assert str(caught.value) == (
        f"{data_dir / 'Xtr.npy'}: 130 rows for 131 folds; expected a row for each"
        " (data.validation.folds)"
    )
