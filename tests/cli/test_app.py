"""The commands as a user or a script meets them: what they print, and exit codes."""

import csv
import io
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from sgdlab.cli import app

GRID = {"batch_size": [10, 26], "learning_rate": [0.01, 0.05], "l2": [0.0, 0.1]}


@pytest.fixture
def config(write_config):
    return write_config("grid", grid=GRID, data={"target_unit": "years"})


def columns(line):
    return re.split(r"\s+", line.strip())


def test_grid_search_prints_the_best_cells_and_the_constant_predictor(sgdlab, config, arrays):
    code, out, err = sgdlab("grid-search", config)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "grid: 8 cells, 104 rows to train, 26 to validate, 40 to test"
    assert lines[1] == "epochs 3"  # the one usual hyperparameter that does not vary
    assert max(map(len, lines)) <= 80
    best = next(columns(line) for line in lines if re.match(r"\d{4} ", line))
    rows = list(csv.DictReader(next(Path("runs").glob("*/results.csv")).read_text().splitlines()))
    expected = min(rows, key=lambda row: float(row["validation_loss"]))
    assert best[0] == expected["cell"]
    assert best[1] == expected["batch_size"]
    assert float(best[4]) == pytest.approx(float(expected["validation_loss"]), rel=1e-4)
    assert float(best[8]) == pytest.approx(float(expected["test_loss"]), rel=1e-4)
    constant = next(columns(line) for line in lines if line.startswith("constant"))
    mean = arrays["ytr"][:104].mean()
    assert float(constant[7]) == pytest.approx(mean, rel=1e-4)
    loss = np.mean((arrays["yte"] - mean) ** 2) / 2
    assert float(constant[8]) == pytest.approx(loss, rel=1e-4)
    assert "the test rows played no part in the selection" in out
    assert "minus the constant predictor in half-MSE, paired by row" in " ".join(out.split())
    assert lines[-1].startswith("run: runs/grid-")
    assert "years" in out
    assert err == ""


def test_test_losses_of_all_cells_are_shown_when_asked_for(sgdlab, config):
    code, out, _ = sgdlab("grid-search", config, "--test-losses", "all", "--top", 3)
    cells = [columns(line) for line in out.splitlines() if re.match(r"\d{4} ", line)]
    assert code == 0
    assert len(cells) == 3
    assert all(float(cell[8]) > 0 for cell in cells)


def test_json_is_one_strict_document_and_csv_has_the_rows(sgdlab, config):
    code, out, _ = sgdlab("grid-search", config, "--format", "json", "--top", 2)
    document = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert document["n_cells"] == 8
    assert document["cells"][0]["cell"] == document["best"]
    assert len(document["cells"]) == 2
    code, out, _ = sgdlab("grid-search", config, "--format", "csv", "--top", 5)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["cell"] for row in rows][:2] == [row["cell"] for row in document["cells"]]
    assert len(rows) == 5


def test_dry_run_writes_nothing_and_reads_headers_alone(sgdlab, config, data_dir):
    content = (data_dir / "Xtr.npy").read_bytes()
    broken = content[:-8] + np.float64(np.nan).tobytes()
    (data_dir / "Xtr.npy").write_bytes(broken)  # no one looks at values
    code, out, _ = sgdlab("grid-search", config, "--dry-run")
    assert code == 0
    assert re.search(r"cells +8\b", out)
    assert re.search(r"trajectories +8\b", out)
    assert not Path("runs").exists()
    code, out, _ = sgdlab("grid-search", config, "--dry-run", "--format", "json")
    document = json.loads(out)
    # 8 cells, 3 epochs, 9 features; 4 flops a training row, 2 a validation row, 2 at the stop
    assert document["flops"] == 8 * 9 * (3 * (4 * 104 + 2 * 26) + 2 * 104)
    assert document["row_bytes"] == 130 * 9 * 8
    assert document["in_memory"] is True


@pytest.mark.parametrize(
    ("config_of", "hint"),
    [
        ({"grid": {"l2": [n / 1000 for n in range(500)]}}, "take fewer cells"),
        ({"train": {"order": "in_order"}}, "lower run.memory_budget"),
    ],
)
def test_a_dry_run_says_that_there_is_no_memory_for_it(
    sgdlab, write_config, monkeypatch, config_of, hint
):
    config = write_config("large", **config_of)
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = sgdlab("grid-search", config, "--dry-run")
    assert "too large" not in out
    _, out, _ = sgdlab("grid-search", config, "--dry-run", "--format", "json")
    document = json.loads(out)
    assert document["shortage"] is None
    needed = document["memory_bytes"]
    monkeypatch.setattr("sgdlab.system.machine.free_memory_bytes", lambda: needed - 1)
    _, out, _ = sgdlab("grid-search", config, "--dry-run")
    assert re.search(rf"^too large: training .* takes about .* are free: {hint}$", out, re.M)
    _, out, _ = sgdlab("grid-search", config, "--dry-run", "--format", "json")
    shortage = json.loads(out)["shortage"]
    assert (shortage["needed_bytes"], shortage["free_bytes"]) == (needed, needed - 1)
    assert shortage["hint"] == hint
    _, out, _ = sgdlab("grid-search", config, "--dry-run", "--format", "csv")
    [row] = csv.DictReader(io.StringIO(out))
    assert row["is_too_large"] == "True"
    assert sgdlab("grid-search", config)[0] == 4


def test_train_shows_losses_and_history(sgdlab, write_config):
    code, out, _ = sgdlab("train", write_config("one"))
    assert code == 0
    assert "one: 1 cell" in out
    for rows in ("training", "validation", "test"):
        assert re.search(rf"^{rows} +\d", out, re.MULTILINE)
    assert [columns(line)[0] for line in out.splitlines() if re.match(r"\d ", line)] == list("123")


def test_evaluate_shows_the_logged_loss_beside_the_new_one(sgdlab, config):
    sgdlab("grid-search", config)
    code, out, _ = sgdlab("evaluate", "latest", "--mae-step", "0.5")
    assert code == 0
    for rows in ("training", "validation", "test"):
        found = next(columns(line) for line in out.splitlines() if line.startswith(rows))
        assert found[2] == found[3]
    code, out, _ = sgdlab("evaluate", "latest", "--mae-step", "0.5", "--format", "json")
    for row in json.loads(out)["evaluated"]:
        share = (row["n_above"] - row["n_below"]) / row["n_rows"]
        assert row["bias_after"] == pytest.approx(row["bias"] - 0.5 * share)
        assert len(row["weights_subgradient"]) == 9


def test_evaluate_shows_how_large_errors_become(sgdlab, config, arrays):
    sgdlab("grid-search", config)
    _, out, _ = sgdlab("evaluate", "latest", "--format", "json")
    run = Path(json.loads(out)["run"])
    predictions = np.load(run / "predictions.npz")
    for row in json.loads(out)["evaluated"][1:]:  # the run keeps no predictions on training rows
        errors = np.abs(predictions[row["rows"]] - predictions[f"{row['rows']}_targets"])
        assert row["largest_error"] == pytest.approx(errors.max(), rel=1e-12)
        share = np.mean(errors <= row["error_90"] * (1 + 1e-12))
        assert 0.9 <= share <= 0.9 + 1 / errors.size


def test_synthesize_and_describe(sgdlab, monkeypatch):
    from sgdlab.data import stand_in

    monkeypatch.setattr(stand_in, "N_TRAIN", 40)
    monkeypatch.setattr(stand_in, "N_TEST", 20)
    code, out, _ = sgdlab("data", "synthesize", "arrays")
    assert code == 0
    assert "synthetic stand-in" in out
    code, again, _ = sgdlab("data", "describe", "arrays")
    assert code == 0
    assert again == out
    code, out, _ = sgdlab("data", "describe", "arrays", "--format", "json")
    document = json.loads(out)
    assert document["synthetic"] is True
    assert document["files"][0]["shape"] == "40x48x48"
    code, _, err = sgdlab("data", "synthesize", "arrays")
    assert code == 4
    assert "already there" in err


def test_every_table_on_the_stand_in_says_so(sgdlab, write_config, monkeypatch):
    from sgdlab.data import stand_in

    monkeypatch.setattr(stand_in, "N_TRAIN", 40)
    monkeypatch.setattr(stand_in, "N_TEST", 20)
    sections = {"data": {"path": "new", "if_missing": "synthesize"}}
    config = write_config("faces", train={"learning_rate": 1e-4}, **sections)
    _, out, _ = sgdlab("grid-search", config, "--dry-run")  # about to be written
    assert "synthetic stand-in" in out
    code, out, err = sgdlab("train", config)
    assert code == 0
    assert "wrote a synthetic stand-in" in err
    assert "synthetic stand-in" in out
    assert "runs/faces-synthetic-" in out
    assert "synthetic stand-in" in sgdlab("grid-search", config, "--dry-run")[1]  # written
    code, out, _ = sgdlab("grid-search", config, "--format", "json")
    assert json.loads(out)["synthetic"] is True
    experiment = json.loads(next(Path("runs").glob("*/experiment.json")).read_bytes())
    assert experiment["synthetic"] is True
    _, out, _ = sgdlab("evaluate", "latest")
    assert "synthetic stand-in" in out


def test_version_help_schema_and_completion(sgdlab):
    assert sgdlab("--version")[:2] == (0, f"sgdlab {app.__version__}\n")
    code, out, _ = sgdlab()
    assert code == 0
    assert "grid-search" in out
    code, out, _ = sgdlab("schema")
    assert code == 0
    assert json.loads(out)["title"] == "sgdlab config"
    assert "--install-completion" in sgdlab("--help")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["grid-search"], 2, "Missing argument"),
        (["grid-search", "none.yaml"], 2, "none.yaml: no such file or directory"),
        (["grid-search", "{config}", "--format", "xml"], 2, "xml"),
        (["grid-search", "{config}", "--top", "0"], 2, "--top"),
        (["grid-search", "{config}", "--set", "train.loss=cubic"], 2, "--set train.loss: 'cubic'"),
        (
            ["grid-search", "{config}", "-S", "data.path=nowhere"],
            3,
            "nowhere: no such file or directory; expected a folder of",
        ),
        (["grid-search", "{config}", "-S", "grid.learning_rate=[1e9]"], 5, "diverged"),
        (["grid-search", "{config}", "--runs-dir", "{config}"], 4, "grid.yaml"),
        (["train", "{config}"], 2, "8 cells; expected one"),
        (["evaluate", "latest"], 2, "there are no runs"),
        (
            ["data", "describe", "nowhere"],
            3,
            "nowhere: no such file or directory; expected a folder of arrays",
        ),
        (["data", "describe", "data", "--prefix", "a/b"], 2, "prefix 'a/b': leads to another"),
        (["data", "synthesize", "new", "--prefix", "../"], 2, "prefix '../': leads to another"),
        (["no-such-command"], 2, "No such command"),
        (["grid-search", "{config}", "--runs-dir", "a" * 300], 4, "file name too long"),
        (["evaluate", "a" * 5000], 2, "no such run"),
    ],
)
def test_errors_are_one_line_with_their_exit_code(sgdlab, config, arguments, code, message):
    found, out, err = sgdlab(*(argument.format(config=config) for argument in arguments))
    assert found == code
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("sgdlab: error: ")]
    assert len(lines) == len(err.splitlines()) == 1
    assert message in lines[0]


def test_every_mistake_of_a_config_has_a_line(sgdlab, write_config):
    config = write_config("bad", train={"l2": -1, "batch_sise": 3}, data={"divide_by": 0})
    code, _, err = sgdlab("grid-search", config)
    assert code == 2
    assert len(err.splitlines()) == 3
    assert all(line.startswith(f"sgdlab: error: {config}:") for line in err.splitlines())


def test_a_bad_value_in_the_data_is_named(sgdlab, config, data_dir, arrays):
    arrays["Xtr"][77, 5] = np.inf
    np.save(data_dir / "Xtr.npy", arrays["Xtr"])
    code, _, err = sgdlab("grid-search", config)
    assert code == 3
    assert "Xtr.npy: inf at row 77, column 5" in err


def test_a_bug_is_reported_as_one(sgdlab, config, monkeypatch, tmp_path):
    from sgdlab import workflows

    def fail(*_):
        raise ZeroDivisionError("by \x1b[31mnothing")

    monkeypatch.setattr(workflows, "grid_search", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code, _, err = sgdlab("grid-search", config)
    assert code == 70
    [report] = tmp_path.glob("sgdlab-crash-*.txt")
    bug = r"this is a bug in sgdlab (ZeroDivisionError: by \x1b[31mnothing)"
    assert err == f"sgdlab: error: {bug}; please report it with {report}, its traceback\n"
    kept = report.read_text()
    assert kept.endswith("ZeroDivisionError: by \x1b[31mnothing\n")
    assert "in fail\n" in kept
    assert str(config) in kept
    assert report.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("missing", ["absent", "a file"])
def test_a_bug_is_reported_where_no_file_can_be_written(
    missing, sgdlab, config, monkeypatch, tmp_path
):
    from sgdlab import workflows

    monkeypatch.setattr(workflows, "grid_search", lambda *_: {}["key"])
    monkeypatch.setattr(tempfile, "tempdir", str(config / "below" if missing == "a file" else "x"))
    code, _, err = sgdlab("grid-search", config)
    *lines, last = err.splitlines()
    assert code == 70
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "KeyError: 'key'"
    bug = "this is a bug in sgdlab (KeyError: 'key')"
    assert last == f"sgdlab: error: {bug}; please report it with these lines"


def test_a_narrow_terminal_drops_columns_rather_than_digits(sgdlab, write_config):
    config = write_config("wide", grid=GRID | {"loss": ["squared", "huber"], "epochs": [1, 2]})
    _, narrow, _ = sgdlab("grid-search", config)
    assert "not shown, for want of width: test* + L2" in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow


def test_a_search_by_mae_shows_what_it_ranks_by(sgdlab, config):
    _, out, _ = sgdlab("grid-search", config, "--set", "select.metric=mae", "--format", "csv")
    best = float(next(csv.DictReader(io.StringIO(out)))["validation_mae"])
    _, out, _ = sgdlab("grid-search", config, "--set", "select.metric=mae", "-q")
    lines = out.splitlines()
    assert lines[3].split().count("MAE") == 2
    assert columns(lines[5])[4] == f"{best:#.5g}"


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "1e400"])
def test_a_step_size_must_be_positive(sgdlab, config, value):
    sgdlab("grid-search", config)
    code, _, err = sgdlab("evaluate", "latest", "--mae-step", value)
    assert (code, err.count("\n")) == (2, 1)
    assert "no step size; expected a positive number" in err


def test_every_command_can_be_told_to_be_quiet(sgdlab, config, data_dir):
    assert sgdlab("grid-search", config, "-q")[2] == ""
    for command in (("evaluate", "latest"), ("schema",), ("data", "describe", data_dir)):
        code, _, err = sgdlab(*command, "-q")
        assert (code, err) == (0, "")


def test_runs_dir_comes_from_the_environment(sgdlab, config, monkeypatch, tmp_path):
    monkeypatch.setenv("SGDLAB_RUNS", str(tmp_path / "elsewhere"))
    assert sgdlab("grid-search", config)[0] == 0
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
    assert sgdlab("evaluate", "latest")[0] == 0


def test_quiet_says_nothing_on_stderr(sgdlab, config):
    sgdlab("grid-search", config)
    assert "nothing left to train" in sgdlab("grid-search", config)[2]
    assert sgdlab("grid-search", config, "-q")[2] == ""


def test_all_cells_are_in_documents_and_ten_in_a_table(sgdlab, write_config):
    config = write_config("twelve", grid={"learning_rate": [n / 1000 for n in range(1, 13)]})
    _, out, _ = sgdlab("grid-search", config)
    assert sum(bool(re.match(r"\d{4} ", line)) for line in out.splitlines()) == 10
    _, out, _ = sgdlab("grid-search", config, "--format", "json")
    assert len(json.loads(out)["cells"]) == 12
    _, out, _ = sgdlab("grid-search", config, "--format", "csv")
    assert len(out.splitlines()) == 1 + 12


@pytest.mark.parametrize("command", [("data",), ("data", "--help")])
def test_a_group_of_commands_alone_shows_its_help(command, sgdlab):
    code, out, err = sgdlab(*command)
    assert (code, err) == (0, "")
    assert {"synthesize", "describe"} <= {line.split()[0] for line in out.splitlines() if line}


@pytest.mark.parametrize(
    "grid",
    [
        {"learning_rate": [0.01, 0.02], "batch_size": [10]},
        [{"l2": [0.0, 0.1], "loss": ["huber"]}, {"zip": {"batch_size": [1, 2], "epochs": [1, 2]}}],
    ],
)
def test_train_says_how_a_cell_of_a_grid_is_chosen(grid, sgdlab, write_config):
    fixed = {"huber_delta": 2.0}
    config = write_config("many", grid=grid, train=fixed)
    if isinstance(grid, list):
        config.write_text(config.read_text().replace("batch_size: 10", "order: in_order"))
        config.write_text(config.read_text().replace("  epochs: 3\n", ""))
        grid[0].update(batch_size=[5], epochs=[2])
        document = yaml.safe_load(config.read_text()) | {"grid": grid}
        config.write_text(yaml.safe_dump(document))
    code, _, err = sgdlab("train", config)
    assert code == 2
    [override] = re.findall(r"--set '(.*)'\)$", err.strip())
    code, out, err = sgdlab("train", config, "--set", override)
    assert (code, err) == (0, "")
    assert "1 cell" in out


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("--runs-dir=~/r",), {}),
        ((), {"SGDLAB_RUNS": "~/r"}),
        (("-S", "data.path=~/data"), {"SGDLAB_RUNS": "~/r"}),
    ],
)
def test_a_tilde_is_a_home_where_no_shell_has_read_it(
    arguments, variables, sgdlab, write_config, monkeypatch, tmp_path
):
    config = write_config()
    for name, value in ({"HOME": str(tmp_path)} | variables).items():
        monkeypatch.setenv(name, value)
    code, _, _ = sgdlab("train", config, *arguments)
    assert code == 0
    assert not Path("~").exists()
    assert list((tmp_path / "r").glob("*/results.csv"))
    assert sgdlab("evaluate", "~/r/" + next((tmp_path / "r").iterdir()).name)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "", "--runs-dir", "r"),
        ("train", "{config}", "--runs-dir", ""),
        ("train", "{config}", "--runs-dir", "~nobody-has-this-name/r"),
        ("evaluate", "latest", "--data", ""),
        ("data", "describe", ""),
        ("data", "synthesize", ""),
    ],
    ids=" ".join,
)
def test_a_path_that_is_none_is_refused(arguments, sgdlab, write_config, tmp_path):
    config = write_config()
    before = sorted(tmp_path.iterdir())
    code, _, err = sgdlab(*(part.format(config=config) for part in arguments))
    assert code == 2
    assert re.match(r"sgdlab: error: .*(an empty path|no such home)", err)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("key", ["grid.0.l2", "grid.1.zip.l2", "train.deep.er"])
def test_an_override_makes_mappings_where_there_is_nothing(key, sgdlab, write_config):
    config = write_config("holes", grid=[None, {"zip": None}])
    code, _, err = sgdlab("train", config, "-S", f"{key}=[0.5]")
    assert code == 2
    assert all(line.startswith("sgdlab: error: ") for line in err.splitlines())
    assert "bug" not in err
