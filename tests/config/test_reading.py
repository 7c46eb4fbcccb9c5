"""Config files: what is read, every mistake with its place, and ``--set``."""

import time
from pathlib import Path

import pytest

from sgdlab.config.model import Config
from sgdlab.config.reading import load_config
from tests.config.config_texts import DATA, TRAIN, load, mistake, mistakes, train

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


BAD = """\
name: 2024
data:
  path: null
  validaton: {fraction: 1.5}
  divide_by: 0
train:
  loss: sqared
  l2: 017
  epochs: 16
  replicates: true
  seed: -1
  huber_delta: 1
  huber_delta: 2
grid:
  batch_size: [160, 0, 2.5, '8']
  learning_rate: []
  epochs: [16]
  initial_bias: 0.1
  seed: [1, 2]
run: {threads: none, memory_budget: 2 XB}
batch_size: 3
memory: 3
"""

BAD_LINES = """\
c.yaml:1:7 name: 2024; expected text
c.yaml:3:9 data.path: nothing; expected text
c.yaml:4:3 data.validaton: unknown key; did you mean validation?
c.yaml:5:14 data.divide_by: 0; expected a number above 0.0
c.yaml:7:9 train.loss: 'sqared'; expected 'squared', 'absolute' or 'huber'
c.yaml:8:7 train.l2: 017 is a number with a leading zero; expected a number, true, false or text \
(write a decimal or quote it)
c.yaml:10:15 train.replicates: true; expected a whole number
c.yaml:11:9 train.seed: -1; expected at least 0
c.yaml:13:3 train.huber_delta: the key stands here and at 12:3; expected it once (remove one)
c.yaml:15:21 grid.batch_size[1]: 0; expected at least 1
c.yaml:15:24 grid.batch_size[2]: 2.5; expected a whole number
c.yaml:15:29 grid.batch_size[3]: '8'; expected a whole number
c.yaml:16:18 grid.learning_rate: an empty list; expected at least one value
c.yaml:17:3 grid.epochs: also under train.epochs; expected it once
c.yaml:18:17 grid.initial_bias: 0.1; expected a list such as [0.1, 0.2]
c.yaml:19:3 grid.seed: not an axis; a search must not pick a lucky seed; use train.replicates
c.yaml:20:16 run.threads: 'none'; expected auto, or a whole number from 1 to 2147483647
c.yaml:20:37 run.memory_budget: '2 XB'; expected auto, or a size such as 256MB or 2GB
c.yaml:21:1 batch_size: unknown key; did you mean train.batch_size?
c.yaml:22:1 memory: unknown key; expected one of name, data, train, grid, run, select
"""


def test_every_mistake_is_reported_at_once_with_its_place():
    assert mistakes(BAD) == BAD_LINES.splitlines()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("null", "nothing; expected a number"),
        ("", "nothing; expected a number"),
        ("true", "true; expected a number"),
        ("'0.1'", "'0.1'; expected a number"),
        ("[0.1]", "a list; expected a number"),
        ("[]", "an empty list; expected a number"),
        ("{a: 1}", "a mapping; expected a number"),
        ("0", "0; expected a number above 0.0"),
        ("-1e-3", "-0.001; expected a number above 0.0"),
        (".nan", ".nan; expected a finite number (quote it if it is text)"),
        ("1e999", "1e999; expected a finite number"),
        ("x" * 70, f"'{'x' * 56}...; expected a number"),
    ],
)
def test_a_wrong_learning_rate(value, found):
    place = "2:40" if value else "2:39"  # where nothing is written, right after the colon
    assert mistake(train(learning_rate=value)) == f"c.yaml:{place} train.learning_rate: {found}"


def test_a_date_is_not_a_number():
    assert "2024-01-31 is a date; expected a number" in mistake(train(l2="2024-01-31"))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("true", "true; expected a whole number"),
        ("16.0", "16.0; expected a whole number"),
        ("1e3", "1000.0; expected a whole number"),
        ("0", "0; expected at least 1"),
        ("-5", "-5; expected at least 1"),
        ("1000001", "1000001; expected at most 1000000"),
    ],
)
def test_a_wrong_count(value, found):
    assert mistake(train(epochs=value)).endswith(f" train.epochs: {found}")


@pytest.mark.parametrize(
    ("section", "key", "meant"),
    [
        ("", "trian: {}", "train"),
        ("", "learning_rate: 3", "train.learning_rate"),
        ("", "learningrate: 3", "train.learning_rate"),
        ("", "metric: mae", "select.metric"),
        ("grid", "learningrate: [1]", "learning_rate"),
        ("grid", "zipp: {}", "zip"),
        ("run", "thread: 2", "threads"),
        ("run", "prefix: a", "data.prefix"),
        ("select", "fraction: 0.5", "data.validation.fraction"),
    ],
)
def test_an_unknown_key_names_the_one_that_was_meant(section, key, meant):
    text = f"{section}: {{{key}}}\n" if section else f"{key}\n"
    name = ".".join(filter(None, [section, key.split(":")[0]]))
    line = mistake(DATA + TRAIN + text)
    assert line.endswith(f" {name}: unknown key; did you mean {meant}?")


def test_an_unknown_key_is_found_even_if_its_value_is_unreadable():
    assert ["unknown key" in line for line in mistakes(DATA + TRAIN + "nam: yes")] == [True, False]


@pytest.mark.parametrize("key", ["seed", "replicates"])
def test_seed_and_replicates_are_no_axes(key):
    assert f"grid.{key}: not an axis; " in mistake(DATA + TRAIN + f"grid: {{{key}: [1, 2]}}")
    zipped = train(**{key: "3"}) + f"grid: {{zip: {{{key}: [1, 2]}}}}"
    assert f"grid.zip.{key}: not an axis; " in mistake(zipped)


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ("{epochs: [3]}", "c.yaml:3:8 grid.epochs: also under train.epochs; expected it once"),
        (
            "{zip: {epochs: [3]}}",
            "c.yaml:3:14 grid.zip.epochs: also under train.epochs; expected it once",
        ),
        (
            "{l2: [1], zip: {l2: [2]}}",
            "c.yaml:3:23 grid.zip.l2: also an axis of its own; expected it once",
        ),
        (
            "{zip: {l2: [1, 2], initial_bias: [1, 2, 3]}}",
            "c.yaml:3:13 grid.zip: lists of 2 and 3 values; expected equal lengths",
        ),
        ("{zip: {}}", "c.yaml:3:13 grid.zip: an empty mapping; expected lists of equal length"),
        ("{l2: []}", "c.yaml:3:12 grid.l2: an empty list; expected at least one value"),
        ("{l2: [yes]}", "c.yaml:3:13 grid.l2[0]: yes is a boolean to some readers; expected a "
         "number, true, false or text (write a decimal or quote it)"),
        ("{l2: ['a']}", "c.yaml:3:13 grid.l2[0]: 'a'; expected a number"),
        ("3", "c.yaml:3:7 grid: 3; expected a mapping of lists, or a list of such mappings"),
        ("[]", "c.yaml:3:7 grid: an empty list; expected a mapping of lists, or a list of such "
         "mappings"),
        ("[{}, 3]", "c.yaml:3:12 grid[1]: 3; expected a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_grid(grid, expected):
    assert mistake(f"{DATA}{TRAIN}grid: {grid}\n") == expected


def test_each_mapping_of_a_union_needs_what_has_no_default():
    grid = "grid:\n- {epochs: [1]}\n- {l2: [0.1]}\n"
    assert mistakes(train(epochs=None, batch_size=None) + grid) == [
        "c.yaml:4:3 train.batch_size: nothing; expected a value here or a list under "
        "grid.batch_size",
        "c.yaml:5:3 train.batch_size: nothing; expected a value here or a list under "
        "grid.batch_size",
        "c.yaml:5:3 train.epochs: nothing; expected a value here or a list under grid.epochs",
    ]


def test_what_has_no_default_may_stand_in_a_zip():
    grid = "grid: {zip: {epochs: [1, 2], batch_size: [3, 4]}}"
    assert load(train(epochs=None, batch_size=None) + grid).grid[0].zip.epochs == (1, 2)


def test_data_and_its_path_are_required():
    assert mistake(TRAIN) == "c.yaml:1:1 data: nothing; expected a value (add it)"
    assert mistake(TRAIN + "data: {}") == "c.yaml:2:7 data.path: nothing; expected a value (add it)"


def test_a_billion_cells_are_counted_and_refused_before_anything_is_made():
    values = f"[{', '.join(f'0.{n:03}' for n in range(1, 1001))}]"
    axes = f"l2: {values}, initial_bias: {values}, huber_delta: {values}"
    start = time.process_time()
    line = mistake(f"{DATA}{TRAIN}grid: {{{axes}}}")
    assert line == "c.yaml:3:7 grid: 1000000000 cells; expected at most 1000000"
    assert time.process_time() - start < 2


def test_a_million_cells_are_the_most_also_in_a_union_with_zips():
    hundred = f"[{', '.join(map(str, range(1, 101)))}]"
    million = f"{{l2: {hundred}, initial_bias: {hundred}, zip: {{huber_delta: {hundred}}}}}"
    load(f"{DATA}{TRAIN}grid: [{million}]")
    line = mistake(f"{DATA}{TRAIN}grid: [{million}, {{}}]")
    assert line == "c.yaml:3:7 grid: 1000001 cells; expected at most 1000000"


def test_very_many_mistakes_are_cut_short_and_found_fast():
    start = time.process_time()
    lines = mistakes(f"{DATA}{TRAIN}grid: {{l2: [{'a,' * 20_000}]}}")
    assert time.process_time() - start < 5
    assert len(lines) == 101
    assert lines[99] == "c.yaml:3:211 grid.l2[99]: 'a'; expected a number"
    assert lines[100] == "c.yaml: more mistakes than these; mend these first"


def test_a_key_or_value_of_any_length_makes_a_short_line():
    lines = mistakes(f"{DATA}{TRAIN}{'k' * 5000}: 1\nname: [{'x' * 5000}]", f"{'s' * 5000}.a=1")
    assert max(map(len, lines)) < 300


def test_the_path_of_the_data_is_relative_to_the_file(tmp_path):
    Path("configs").mkdir()
    config = load("data: {path: ../d}\n" + TRAIN, name="configs/c.yaml")
    assert config.data.path == str(tmp_path / "d")
    absolute = load(f"data: {{path: {tmp_path}/x}}\n" + TRAIN, name="configs/c.yaml")
    assert absolute.data.path == str(tmp_path / "x")


def test_a_path_by_set_is_relative_to_the_working_directory_and_never_written_to(tmp_path):
    Path("configs").mkdir()
    text = "data: {path: ../d, if_missing: synthesize}\n" + TRAIN
    assert load(text, name="configs/c.yaml").data.if_missing == "synthesize"
    for override in ("data.path=d", "data={path: d, if_missing: synthesize}"):
        data = load(text, override, name="configs/c.yaml").data
        assert data.path == str(tmp_path / "d")
        assert data.if_missing == "fail"
    insisting = ("data.path=d", "data.if_missing=synthesize")
    assert load(text, *insisting, name="configs/c.yaml").data.if_missing == "fail"


def test_the_name_defaults_to_the_files():
    assert load(DATA + TRAIN, name="my.faces.yaml").name == "my.faces"
    assert load(DATA + TRAIN + "name: age", name="my.yaml").name == "age"
    assert load(DATA + TRAIN, name="a\nb.yaml").name == r"a\nb"


@pytest.mark.parametrize("code", [0x07, 0x1B, 0x7F, 0x85, 0x9B, 0x200F, 0x2028, 0x202E, 0x2066])
@pytest.mark.parametrize("key", ["name", "data.target_unit", "data.prefix", "data.path"])
def test_text_has_no_characters_that_steer_a_terminal(key, code):
    line = mistake(DATA + TRAIN, f'{key}="x\\u{code:04x}y"')
    assert line.startswith(f"--set {key}: '")
    assert line.endswith("expected text without control characters")


def test_text_may_be_of_any_language():
    name = "Gesichter, 顔, وجوه\N{NO-BREAK SPACE}\N{SLIGHTLY SMILING FACE}"
    assert load(DATA + TRAIN + f"name: '{name}'").name == name


def test_there_is_a_config_to_try():
    assert "age.yaml" in {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_configs_that_come_with_the_package_load(path):
    config = load_config(path)
    assert config.name
    again = Config.model_validate(config.model_dump(mode="json", exclude_none=True))
    assert again == config


def test_a_config_with_everything_survives_json():
    text = (
        train(loss="huber", epochs=None)
        + "grid:\n- {epochs: [1, 2], zip: {l2: [0.1, 1], initial_bias: [0, 1]}}\n- {epochs: [3]}\n"
        + "run: {memory_budget: 1.5GB, threads: 2, trajectories_per_block: 8}\n"
        + "select: {metric: mae}\n"
    )
    config = load(text)
    dumped = config.model_dump(mode="json", exclude_none=True)
    assert Config.model_validate(dumped) == config
    assert Config.model_validate(dumped).model_dump(mode="json", exclude_none=True) == dumped
    assert dumped["grid"][1] == {"epochs": [3]}


@pytest.mark.parametrize(
    ("written", "n_bytes"),
    [
        ("auto", "auto"),
        ("512", 512),
        ("'512'", 512),
        ("100B", 100),
        ("256MB", 256_000_000),
        ("256 mb", 256_000_000),
        ("2GB", 2_000_000_000),
        ("8.2GB", 8_200_000_000),
        ("64KiB", 65_536),
        ("1.5GiB", 1_610_612_736),
        ("3TB", 3_000_000_000_000),
    ],
)
def test_spellings_of_a_memory_budget(written, n_bytes):
    assert load(f"{DATA}{TRAIN}run: {{memory_budget: {written}}}").run.memory_budget == n_bytes


@pytest.mark.parametrize("written", ["0", "-1", "1.5", "true", "0.1B", "2 XB", "GB", "-2GB", "1e9"])
def test_a_wrong_memory_budget(written):
    line = mistake(f"{DATA}{TRAIN}run: {{memory_budget: {written}}}")
    assert line.endswith("; expected auto, or a size such as 256MB or 2GB")
