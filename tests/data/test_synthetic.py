"""The stand-in against figures measured on 6500 real faces, each computed here in plain numpy."""

from typing import NamedTuple

import numpy as np
import pytest

from sgdlab.data.synthetic import FaceArrays, generate_faces

N_TRAIN, N_TEST, N_PIXELS = 4000, 2500, 48 * 48
N_FIT = 3200  # training rows without the last 20 %

# Measured on the real faces: eigenvalues of the pixel covariance, R^2 of age on leading components.
REAL_EIGENVALUES = {
    **{1: 26.2, 2: 14.7, 3: 13.9, 5: 3.69, 10: 1.47, 20: 0.57, 50: 0.16, 100: 0.058, 200: 0.020},
    **{500: 3.9e-3, 1000: 6.9e-4, 1500: 1.5e-4, 2000: 2.6e-5, 2304: 2.0e-6},
}
REAL_R2 = {5: 0.05, 10: 0.11, 20: 0.19, 50: 0.28, 100: 0.33, 200: 0.38}


class Rows(NamedTuple):
    """Flat pixels, float64, and ages of seed 0."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


class Spectrum(NamedTuple):
    """The principal components of the training rows, and their covariances with age."""

    eigenvalues: np.ndarray  # largest first
    components: np.ndarray
    age_covariances: np.ndarray


@pytest.fixture(scope="module")
def faces() -> FaceArrays:
    return generate_faces(seed=0)


@pytest.fixture(scope="module")
def rows(faces: FaceArrays) -> Rows:
    return Rows(flat(faces.X_train), faces.y_train, flat(faces.X_test), faces.y_test)


@pytest.fixture(scope="module")
def spectrum(rows: Rows) -> Spectrum:
    X = rows.X_train - rows.X_train.mean(axis=0)
    y = rows.y_train - rows.y_train.mean()
    eigenvalues, vectors = np.linalg.eigh(X.T @ X / N_TRAIN)
    components = vectors[:, ::-1]
    return Spectrum(eigenvalues[::-1], components, (X @ components).T @ y / N_TRAIN)


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


def half_mse(predictions, targets) -> float:
    return np.mean((predictions - targets) ** 2) / 2


def leading_eigenvalues(X: np.ndarray, n_eigenvalues: int) -> np.ndarray:
    """The largest eigenvalues of X.T X/n, by orthogonal iteration in a somewhat larger subspace."""
    Q = np.random.default_rng(0).standard_normal((X.shape[1], n_eigenvalues + 6))
    for _ in range(12):
        Q, R = np.linalg.qr(X.T @ (X @ Q) / len(X))
    return np.sort(np.abs(np.diag(R)))[::-1][:n_eigenvalues]


def test_shapes_and_types(faces):
    X_train, y_train, X_test, y_test = faces
    assert (X_train.shape, X_train.dtype) == ((N_TRAIN, 48, 48), np.float32)
    assert (y_train.shape, y_train.dtype) == ((N_TRAIN,), np.float64)
    assert (X_test.shape, X_test.dtype) == ((N_TEST, 48, 48), np.float32)
    assert (y_test.shape, y_test.dtype) == ((N_TEST,), np.float64)


@pytest.mark.parametrize("part", ["X_train", "X_test"])
def test_pixels_are_whole_levels_over_255(faces, part):
    levels = np.arange(256).astype(np.float32) / np.float32(255)
    assert np.array_equal(np.unique(getattr(faces, part)), levels)


@pytest.mark.parametrize(("n_train", "n_test"), [(400, 250), (501, 1), (1, 0)])
def test_any_number_of_rows(n_train, n_test):
    X_train, y_train, X_test, y_test = generate_faces(0, n_train, n_test)
    assert (X_train.shape, X_test.shape) == ((n_train, 48, 48), (n_test, 48, 48))
    assert (len(y_train), len(y_test)) == (n_train, n_test)
    images = np.concatenate([X_train, X_test])
    assert (images.std(axis=(1, 2)) > 0.05).all()
    assert len(np.unique(images, axis=0)) == n_train + n_test


def test_few_rows_come_from_the_same_distribution():
    X_train, y_train, _, _ = generate_faces(3, n_train=400, n_test=250)
    assert X_train.mean() == pytest.approx(0.481, abs=0.02)
    assert y_train.mean() == pytest.approx(39.6, abs=3)  # four standard errors
    assert y_train.std() == pytest.approx(14.8, abs=2)


@pytest.mark.parametrize("arguments", [(-1, 4, 4), (0, -1, 4), (0, 4, -1)])
def test_negative_arguments_are_errors(arguments):
    with pytest.raises(ValueError, match=r"negative|non-negative"):
        generate_faces(*arguments)


def test_same_arguments_give_the_same_arrays_whatever_the_global_state():
    np.random.seed(1)
    first = generate_faces(5, n_train=40, n_test=20)
    np.random.seed(2)
    state_before = np.random.get_state()[1].copy()
    second = generate_faces(5, n_train=40, n_test=20)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert np.array_equal(np.random.get_state()[1], state_before)


def test_seeds_and_parts_differ():
    zero = generate_faces(0, n_train=40, n_test=40)
    one = generate_faces(1, n_train=40, n_test=40)
    assert not any(np.array_equal(a, b) for a, b in zip(zero, one, strict=True))
    assert not np.array_equal(zero.y_train, zero.y_test)
    both_parts = np.concatenate([zero.X_train, zero.X_test])
    assert len(np.unique(both_parts, axis=0)) == 80


@pytest.mark.parametrize("seed", range(3))
def test_ages_are_whole_years_from_0_to_100(seed):
    _, y_train, _, y_test = generate_faces(seed)
    ages = np.unique(np.concatenate([y_train, y_test]))
    assert set(ages) <= set(range(101))
    assert len(ages) > 80


def test_ages_are_distributed_like_the_real_ones(rows):
    ages = np.concatenate([rows.y_train, rows.y_test])
    assert np.median(ages) == pytest.approx(40, abs=1)
    for part in (ages, rows.y_train, rows.y_test):
        assert part.mean() == pytest.approx(39.6, abs=0.5)
        assert part.std() == pytest.approx(14.8, abs=0.5)


def test_rows_have_no_order(rows):
    images = rows.X_train.mean(axis=1)
    for values in (rows.y_train, rows.y_test, images):
        four_standard_errors = 4 / np.sqrt(len(values))
        trend = np.corrcoef(np.arange(len(values)), values)[0, 1]
        neighbours = np.corrcoef(values[:-1], values[1:])[0, 1]
        assert abs(trend) < four_standard_errors
        assert abs(neighbours) < four_standard_errors


def test_pixel_statistics(rows):
    X = np.concatenate([rows.X_train, rows.X_test])
    assert X.mean() == pytest.approx(0.481, abs=0.005)
    assert X.std() == pytest.approx(0.227, abs=0.005)
    assert X.mean(axis=0).std() == pytest.approx(0.085, abs=0.005)
    trace_with_bias = 1 + np.sum(rows.X_train**2) / N_TRAIN
    assert trace_with_bias == pytest.approx(653, abs=10)


@pytest.mark.parametrize("seed", range(5))
def test_largest_learning_rate_of_the_homework_is_just_stable(seed):
    X = flat(generate_faces(seed).X_train[:N_FIT])
    largest, second = leading_eigenvalues(X, 2)
    assert 560 < largest < 640  # 3e-3 diverges above 2/3e-3 = 667
    assert second == pytest.approx(15.4, abs=3)


def test_covariance_spectrum(spectrum):
    ranks = np.array(list(REAL_EIGENVALUES))
    ratios = spectrum.eigenvalues[ranks - 1] / np.array(list(REAL_EIGENVALUES.values()))
    assert ratios == pytest.approx(np.ones(len(ranks)), abs=0.25)


def test_leading_components_explain_age_as_on_real_faces(rows, spectrum):
    explained = np.cumsum(spectrum.age_covariances**2 / spectrum.eigenvalues)
    R2 = explained / rows.y_train.var()
    for n_components, real in REAL_R2.items():
        assert R2[n_components - 1] == pytest.approx(real, abs=0.025)


def test_older_faces_are_darker_with_stronger_features(rows, spectrum):
    """Two directions that pull against each other where an untrained bias has to be replaced."""
    brightness = rows.X_train.mean(axis=1)
    assert -0.25 < np.corrcoef(brightness, rows.y_train)[0, 1] < -0.1
    weights = spectrum.age_covariances[30:200] / spectrum.eigenvalues[30:200]
    features = rows.X_train @ spectrum.components[:, 30:200]
    years_read_off_the_mean_face = features.mean(axis=0) @ weights
    assert 8 < years_read_off_the_mean_face < 16


def test_constant_predictor(rows):
    assert 105 < half_mse(rows.y_train.mean(), rows.y_test) < 116
    validation = rows.y_train[N_FIT:]
    assert half_mse(rows.y_train[:N_FIT].mean(), validation) == pytest.approx(112.3, abs=1)


def test_best_ridge(rows, spectrum):
    centred = (rows.X_test - rows.X_train.mean(axis=0)) @ spectrum.components
    l2 = np.geomspace(1e-4, 1, 33)
    weights = spectrum.age_covariances[:, None] / (spectrum.eigenvalues[:, None] + l2)
    predictions = rows.y_train.mean() + (centred @ weights).T
    losses = np.array([half_mse(predicted, rows.y_test) for predicted in predictions])
    assert 64 < losses.min() < 75
    assert 0.003 < l2[losses.argmin()] < 0.02  # real faces: 0.0075


@pytest.mark.parametrize(
    ("with_bias", "train_range", "test_range"),
    [(True, (22, 28), (165, 215)), (False, (26, 36), (200, 280))],
    ids=["with bias: 25.1/183.2 on real faces", "without: 34.1/261.5"],
)
def test_normal_equations_overfit(rows, with_bias, train_range, test_range):
    X_train, X_test = rows.X_train, rows.X_test
    if with_bias:
        X_train, X_test = (np.c_[X, np.ones(len(X))] for X in (X_train, X_test))
    weights = np.linalg.solve(X_train.T @ X_train, X_train.T @ rows.y_train)
    train, test = half_mse(X_train @ weights, rows.y_train), half_mse(X_test @ weights, rows.y_test)
    assert train_range[0] < train < train_range[1]
    assert test_range[0] < test < test_range[1]
