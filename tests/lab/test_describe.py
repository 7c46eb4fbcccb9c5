"""What is said about a folder of arrays."""

import hashlib
import io
from fractions import Fraction

import numpy as np
import pytest
from rich.console import Console

from sgdlab.data import stand_in
from sgdlab.data.stand_in import synthesize
from sgdlab.errors import DataError, UsageError
from sgdlab.lab.describe import measure as describe_module
from sgdlab.lab.describe import report
from sgdlab.lab.describe.measure import describe


def by_part(described):
    return {each.part: each for each in described}


def rename(data_dir, prefix):
    for path in list(data_dir.glob("*.npy")):
        path.rename(path.with_name(prefix + path.name))


def test_figures_of_files_are_those_of_numpy(data_dir, arrays, monkeypatch):
    monkeypatch.setattr(describe_module, "READ_BYTES", 8 * 9 * 7)  # pieces of 7 rows
    description = describe(data_dir)
    assert [file.part for file in description.files] == ["Xtr", "ytr", "Xte", "yte"]
    for part, file in by_part(description.files).items():
        array, path = arrays[part], data_dir / f"{part}.npy"
        assert (file.path, file.shape, file.dtype) == (path, array.shape, "float64")
        assert file.n_bytes == path.stat().st_size
        assert (file.minimum, file.maximum) == (array.min(), array.max())
        assert file.mean == pytest.approx(array.mean(), rel=1e-12)
        assert file.std == pytest.approx(array.std(), rel=1e-12)
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file.published_as is None


@pytest.mark.parametrize("kind", ["u1", ">i2", "f2", "b1"])
def test_figures_of_other_dtypes_are_of_float64(kind, data_dir):
    images = np.random.default_rng(0).integers(250, size=(130, 3, 3)).astype(kind)
    np.save(data_dir / "Xtr.npy", images)
    file = by_part(describe(data_dir).files)["Xtr"]
    numbers = images.astype(np.float64)
    assert (file.shape, file.dtype) == ((130, 3, 3), str(images.dtype))
    assert (file.minimum, file.maximum) == (numbers.min(), numbers.max())
    assert file.mean == pytest.approx(numbers.mean(), rel=1e-12)
    assert file.std == pytest.approx(numbers.std(), rel=1e-12)


def test_std_far_from_zero_is_exact(tmp_path):
    np.save(tmp_path / "Xte.npy", 1e9 + np.array([[0.0], [1.0], [2.0], [3.0]]))
    (file,) = describe(tmp_path).files
    assert file.std == pytest.approx(np.sqrt(1.25), rel=1e-12)


def test_figures_of_labels(data_dir, arrays):
    labels = by_part(describe(data_dir).labels)
    assert list(labels) == ["ytr", "yte"]
    for part, label in labels.items():
        y = arrays[part]
        assert (label.n_rows, label.minimum, label.maximum) == (len(y), y.min(), y.max())
        assert label.median == np.sort(y)[len(y) // 2 - 1 : len(y) // 2 + 1].mean()
        assert label.mean == pytest.approx(y.mean(), rel=1e-12)
        assert label.std == pytest.approx(y.std(), rel=1e-12)


def test_constant_losses_are_of_the_training_mean(tmp_path):
    np.save(tmp_path / "ytr.npy", np.array([1.0, 2.0, 6.0]))  # mean 3
    np.save(tmp_path / "yte.npy", np.array([[3], [7]], np.uint8))
    labels = by_part(describe(tmp_path).labels)
    train, test = labels["ytr"].constant_losses, labels["yte"].constant_losses
    assert (train.half_mse, train.mae) == (pytest.approx((4 + 1 + 9) / 6), pytest.approx(2))
    assert (test.half_mse, test.mae) == (pytest.approx(16 / 4), pytest.approx(2))


def test_missing_partners_are_fine(data_dir):
    (data_dir / "ytr.npy").unlink()
    (data_dir / "Xte.npy").unlink()
    description = describe(data_dir)
    assert [file.part for file in description.files] == ["Xtr", "yte"]
    (label,) = description.labels
    assert label.part == "yte"
    assert label.constant_losses is None  # there are no training labels to take the mean of


def test_known_files_are_named(data_dir, monkeypatch):
    digest = hashlib.sha256((data_dir / "yte.npy").read_bytes()).hexdigest()
    monkeypatch.setattr(describe_module, "PUBLISHED", {digest: "yte of 1999"})
    names = {part: file.published_as for part, file in by_part(describe(data_dir).files).items()}
    assert names == {"Xtr": None, "ytr": None, "Xte": None, "yte": "yte of 1999"}


def test_published_hashes_are_hashes():
    assert len(describe_module.PUBLISHED) == 5
    assert all(len(bytes.fromhex(digest)) == 32 for digest in describe_module.PUBLISHED)


# Remarks


def test_train_and_test_rows_of_different_sizes_are_remarked(data_dir, arrays):
    assert describe(data_dir).remarks == ()
    np.save(data_dir / "Xte.npy", arrays["Xte"][:, :8])
    assert describe(data_dir).remarks == (
        "Xtr has 9 values a row, Xte 8; a run needs equally many",
    )


def test_stand_in_files_among_others_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(stand_in, "N_TRAIN", 8)
    monkeypatch.setattr(stand_in, "N_TEST", 4)
    paths = synthesize(tmp_path, "")
    assert describe(tmp_path).remarks == ()
    np.save(paths["yte"], np.load(paths["yte"]) + 1)
    description = describe(tmp_path)
    assert description.is_synthetic
    assert [file.part for file in description.files if file.is_stand_in] == ["Xtr", "ytr", "Xte"]
    assert description.remarks == ("synthetic: Xtr, ytr, Xte; not synthetic: yte",)
    console = Console(width=80, file=io.StringIO())
    console.print(report.table(description))
    assert "\nsynthetic: Xtr, ytr, Xte; not synthetic: yte\n" in console.file.getvalue()


# Prefixes


@pytest.mark.parametrize("prefix", ["", "age_regression_", "a.b ", "Xtr.npy"])
def test_the_only_prefix_is_found(prefix, data_dir):
    rename(data_dir, prefix)
    (data_dir / "notes.npy").write_bytes(b"")
    (data_dir / "Xtr.npz").write_bytes(b"")
    description = describe(data_dir)
    assert (description.prefix, description.folder) == (prefix, data_dir)
    assert len(description.files) == 4


def test_several_prefixes_need_a_choice(data_dir, arrays):
    np.save(data_dir / "b_Xte.npy", arrays["Xte"])
    with pytest.raises(UsageError) as caught:
        describe(data_dir)
    assert str(caught.value) == (
        f"{data_dir}: arrays with the prefixes '', 'b_'; expected one (use prefix)"
    )
    assert [file.path.name for file in describe(data_dir, "b_").files] == ["b_Xte.npy"]
    assert len(describe(data_dir, "").files) == 4


@pytest.mark.parametrize("name", ["empty", "absent", "file", "a\0b", "long" * 100])
def test_folder_without_arrays(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for prefix in (None, "age_", "long" * 100):
        found = "no arrays; expected" if name == "empty" else "; expected a folder of arrays"
        with pytest.raises(DataError, match=found) as caught:
            describe(tmp_path / name, prefix)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert len(str(caught.value).splitlines()) == 1


# Broken arrays


def test_arrays_that_do_not_fit_are_refused(data_dir):
    np.save(data_dir / "yte.npy", np.zeros(39))
    with pytest.raises(DataError, match=r"shapes \(40, 9\) and \(39,\); expected equally many"):
        describe(data_dir)


def test_labels_without_rows_must_be_one_number_each(tmp_path):
    np.save(tmp_path / "ytr.npy", np.zeros((5, 2)))
    with pytest.raises(DataError, match=r"ytr.npy: shape \(5, 2\); expected one number"):
        describe(tmp_path)


def test_value_that_is_not_finite_is_named(data_dir, arrays, monkeypatch):
    monkeypatch.setattr(describe_module, "READ_BYTES", 8 * 9 * 50)
    X = arrays["Xtr"].copy()
    X[120, 3] = np.inf
    np.save(data_dir / "Xtr.npy", X)
    with pytest.raises(DataError, match=r"Xtr.npy: inf at row 120, column 3 \(from 0\)"):
        describe(data_dir)


def test_link_to_a_file_that_is_away_is_named(data_dir):
    (data_dir / "Xtr.npy").unlink()
    (data_dir / "Xtr.npy").symlink_to("not-mounted.npy")
    with pytest.raises(DataError, match=r"Xtr.npy: no such file"):
        describe(data_dir)


def test_values_at_the_end_of_the_range_are_no_crash(tmp_path):
    largest = np.finfo(np.float64).max
    np.save(tmp_path / "ytr.npy", np.array([largest, largest, -largest]))
    (file,) = describe(tmp_path).files
    assert (file.minimum, file.maximum) == (-largest, largest)
    assert file.mean == pytest.approx(largest / 3)
    assert file.std == pytest.approx(largest * (8 / 9) ** 0.5)


@pytest.mark.parametrize("unit", [1e155, 1e305, 1e-160, 1e-308])
def test_spreads_whose_squares_leave_float64_are_those_of_other_units(tmp_path, unit):
    rng = np.random.default_rng(5)
    X, y = rng.uniform(-1, 1, (300, 3)), rng.uniform(-1, 1, 300) + 0.5
    np.save(tmp_path / "Xtr.npy", X * unit)
    np.save(tmp_path / "ytr.npy", y * unit)
    found = describe(tmp_path)
    for file, values in zip(found.files, (X, y), strict=True):
        assert file.std / unit == pytest.approx(values.std(), rel=1e-12)
        assert file.mean / unit == pytest.approx(values.mean(), rel=1e-12)
    [labels] = found.labels
    assert labels.std / unit == pytest.approx(y.std(), rel=1e-12)
    assert labels.mean / unit == pytest.approx(y.mean(), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_sum_beyond_float64_has_a_mean_within_it(tmp_path, shift):
    values = (np.random.default_rng(5).uniform(-0.5, 0.5, (300, 1)) + shift) * 1e308
    np.save(tmp_path / "Xtr.npy", values)
    [file] = describe(tmp_path).files
    exact = sum(map(Fraction, values.ravel().tolist())) / 300
    assert file.mean == pytest.approx(float(exact), rel=1e-12)
    assert file.std == pytest.approx((values / 1e308).std() * 1e308, rel=1e-12)
