"""What is read of a config: a file or none, and ``--set``."""

import os

import pytest

from sgdlab.config.reading import load_config
from sgdlab.errors import ConfigError, Problem
from tests.config.config_texts import DATA, TRAIN, load, mistake, mistakes, train

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("train.l2=1e-3", {"l2": 0.001}),
        ("train.epochs=7", {"epochs": 7}),
        ("train.train_bias=false", {"train_bias": False}),
        ("train.loss=huber", {"loss": "huber"}),
        ("train.loss='huber'", {"loss": "huber"}),
        ("train={batch_size: 4, learning_rate: 2, epochs: 1}", {"batch_size": 4, "epochs": 1}),
    ],
)
def test_set_replaces_a_value(argument, expected):
    config = load(DATA + TRAIN, argument)
    assert {key: getattr(config.train, key) for key in expected} == expected


def test_set_reaches_axes_and_makes_sections():
    mapping = train(batch_size=None) + "grid: {batch_size: [1, 2]}\n"
    assert load(mapping, "grid.batch_size=[3]").grid[0].batch_size == (3,)
    assert load(mapping, "grid.batch_size.1=5").grid[0].batch_size == (1, 5)
    union = train(batch_size=None) + "grid:\n- {batch_size: [1, 2]}\n"
    assert load(union, "grid.0.batch_size=[3, 4]").grid[0].batch_size == (3, 4)
    assert load(union, "grid.0.batch_size.0=9").grid[0].batch_size == (9, 2)
    assert load(DATA + TRAIN, "grid.l2=[0.5]").grid[0].l2 == (0.5,)
    assert load(DATA + TRAIN + "run:\n", "run.threads=3").run.threads == 3
    assert load(DATA + TRAIN, "data.validation.fraction=0.5").data.validation.fraction == 0.5


@pytest.mark.parametrize(
    ("grid", "overrides", "l2", "axes"),
    [
        ("{l2: [1, 2], initial_bias: [0]}", ["train.l2=3"], 3.0, [{"initial_bias"}]),
        ("{l2: [1, 2]}", ["train.l2=3"], 3.0, []),
        ("[{l2: [1]}, {l2: [2], initial_bias: [0]}]", ["train.l2=3", "grid.0.seed=[1]"], None, 0),
        ("{zip: {l2: [1, 2], initial_bias: [0, 1]}}", ["train.l2=3"], 3.0, [{"zip"}]),
        ("{zip: {l2: [1, 2]}, initial_bias: [0]}", ["train.l2=3"], 3.0, [{"initial_bias"}]),
        ("{l2: [1, 2], initial_bias: [0]}", ["train={batch_size: 4, learning_rate: 1, epochs: 1, "
         "l2: 3}"], 3.0, [{"initial_bias"}]),
        ("{initial_bias: [0]}", ["train.l2=5", "grid.l2=[1, 2]"], 0.0, [{"initial_bias", "l2"}]),
        ("{initial_bias: [0]}", ["grid.l2=[1, 2]", "train.l2=5"], 5.0, [{"initial_bias"}]),
        ("{initial_bias: [0]}", ["train.l2=5", "grid={l2: [1]}"], 0.0, [{"l2"}]),
        ("{initial_bias: [0]}", ["train.l2=5", "grid=[{zip: {l2: [1]}}]"], 0.0, [{"zip"}]),
    ],
)  # fmt: skip
def test_a_set_key_of_train_is_no_axis_any_more_and_the_other_way_round(grid, overrides, l2, axes):
    text = train() + f"grid: {grid}\n"
    if l2 is None:
        assert mistake(text, *overrides).startswith("--set grid.0.seed: ")
        return
    config = load(text, *overrides)
    assert config.train.l2 == l2
    assert [set(part.model_dump(exclude_none=True)) for part in config.grid] == axes


@pytest.mark.parametrize("value", ["5", "[1]", "null", "{zip: 3}", "{1: 2}", "[[]]", "[null]"])
@pytest.mark.parametrize("key", ["train", "grid"])
def test_a_section_that_is_set_to_nonsense_is_a_mistake_of_its_own(key, value):
    with pytest.raises(ConfigError, match=f"^overrides {key}: "):
        load(train() + "grid: {initial_bias: [0]}\n", f"{key}={value}")


def test_what_the_file_has_wrong_where_a_set_takes_it_away_is_no_mistake():
    assert load(train(l2="yes"), "grid.l2=[1]").grid[0].l2 == (1.0,)
    assert load(train() + "grid: {l2: [no], initial_bias: [0]}\n", "train.l2=2").train.l2 == 2


def test_the_last_set_wins():
    assert load(DATA + TRAIN, "train.l2=1", "train.l2=2").train.l2 == 2


def test_set_replaces_what_the_file_has_wrong():
    assert load(train(l2="1_000"), "train.l2=5").train.l2 == 5
    assert load(train(l2="yes, l2: 3"), "train.l2=6").train.l2 == 6
    assert load(train(loss="sqared"), "train.loss=squared").train.loss == "squared"


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("train.l2", "--set train.l2: no KEY=VALUE; expected for example train.l2=1e-3"),
        ("=3", "--set =3: no KEY=VALUE; expected for example train.l2=1e-3"),
        ("train..l2=3", "--set train..l2=3: no KEY=VALUE; expected for example train.l2=1e-3"),
        ("train.l2=", "--set train.l2: nothing; expected a number"),
        ("train.l2=-1", "--set train.l2: -1; expected at least 0.0"),
        ("train.l2=017", "--set train.l2: 017 is a number with a leading zero; expected a number, "
         "true, false or text (write a decimal or quote it)"),
        ("train.l2=[1", "--set train.l2: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("train.l2=&a 1", "--set train.l2: an anchor or alias; expected a plain value (write it "
         "out)"),
        ("train={l2: -1, batch_size: 1, learning_rate: 1, epochs: 1}",
         "--set train: train.l2: -1; expected at least 0.0"),
        ("train.lr=3", "--set train.lr: unknown key; expected one of loss, huber_delta, order, "
         "block_rows, buffer_blocks, batch_size, learning_rate, epochs, l2, optimizer, "
         "momentum, beta1, beta2, epsilon, "
         "weight_decay, schedule, final_factor, schedule_steps, warmup, initial_weights, "
         "initial_scale, initial_bias, train_bias, precision, seed, replicates"),
        ("runs.threads=3", "--set runs.threads: runs: unknown key; did you mean run?"),
        ("train.0=3", "--set train.0: no key 0 in a mapping; expected the name of a key"),
        ("train.l2.x=3", "--set train.l2.x: no key 'x' in 0.5; expected the name of a key"),
        ("grid.l2=[1]", "--set grid.l2: no item 'l2' in a list of 1; expected a position, counted "
         "from 0"),
        ("grid.1={}", "--set grid.1: no item 1 in a list of 1; expected a position, counted "
         "from 0"),
        (f"grid.{'9' * 5000}=1", f"--set grid.{'9' * 52}...: no item '{'9' * 56}... in a list of "
         "1; expected a position, counted from 0"),
        ("name=" + "x" * 65537, "--set name: 65537 characters; expected at most 65536"),
        ("a\udc80=1", "--set a\udc80=1: no KEY=VALUE; expected for example train.l2=1e-3"),
        ("name=\udc80", "--set name: the character U+DC80; expected text (remove it)"),
    ],
)  # fmt: skip
def test_a_wrong_set(argument, line):
    text = train(l2="0.5") + "grid:\n- {initial_bias: [0, 1]}\n"
    assert mistake(text, argument) == line


def test_mistakes_of_every_set_and_of_the_file_are_reported_together():
    assert mistakes(train(loss="x"), "train.l2=-1", "bad", "train.epochs=[1") == [
        "--set bad: no KEY=VALUE; expected for example train.l2=1e-3",
        "--set train.epochs: not YAML: expected ',' or ']', but got '<stream end>'",
        "--set train.l2: -1; expected at least 0.0",
        "c.yaml:2:62 train.loss: 'x'; expected 'squared', 'absolute' or 'huber'",
    ]


def problems(config, *overrides):
    with pytest.raises(ConfigError) as caught:
        load_config(config, overrides)
    return caught.value.problems


def test_a_mistake_has_its_place_and_what_was_found_and_expected():
    train = {"batch_size": 10, "learning_rate": 0.1, "epochs": 2, "l2": -1}
    mapping = {"data": {"path": "d"}, "train": train}
    assert problems(mapping) == (Problem("train.l2", "-1", "at least 0.0"),)
    assert problems(mapping, "train.l2=-2", "train.seed") == (
        Problem("`overrides` train.seed", "no KEY=VALUE", "for example train.l2=1e-3"),
        Problem("`overrides` train.l2", "-2", "at least 0.0"),
    )
    assert problems({"train": train | {"l2": 1}}) == (
        Problem("data", "nothing", "a value", "add it"),
    )


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "c.yaml:1:1: nothing; expected a mapping such as 'name: age'"),
        (b"# nothing\n", "c.yaml:1:1: nothing; expected a mapping such as 'name: age'"),
        (b"just text", "c.yaml:1:1: 'just text'; expected a mapping such as 'name: age'"),
        (b"- 1\n", "c.yaml:1:1: a list; expected a mapping such as 'name: age'"),
        (b"a: 1\n b: 2\n", "c.yaml:2:3: not YAML: mapping values are not allowed here"),
        (b"a: 1\nb\0: 2\n", "c.yaml:2:2: the character U+0000; expected text (remove it)"),
        ("é: ü\n".encode() + b"a: \xff", "c.yaml:2:4: byte 0xff is not UTF-8; expected UTF-8 text"),
        ("ü: ü".encode() + b"\xe4: 1", "c.yaml:1:5: byte 0xe4 is not UTF-8; expected UTF-8 text"),
        *[
            (DATA.encode(codec), "c.yaml:1:1: a byte order mark; expected plain UTF-8 (save "
             "without it)")
            for codec in ("utf-8-sig", "utf-16", "utf-32")
        ],
        (DATA.encode("utf-16-le"), "c.yaml:1:2: the character U+0000; expected text (remove it)"),
        (b"x" * 65537, "c.yaml: 65537 bytes; expected at most 65536 (a config is short)"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:30],
)  # fmt: skip
def test_a_file_that_is_no_config(content, line):
    assert mistake(content) == line


def test_a_file_of_64_kib_is_read():
    text = DATA + TRAIN
    assert load(text + "#" * (65536 - len(text))).train.epochs == 2


def cannot_read(path):
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_what_is_not_a_file_is_not_opened(tmp_path):
    assert cannot_read("nope.yaml") == "nope.yaml: no such file or directory; expected a YAML file"
    assert cannot_read(tmp_path) == f"{tmp_path}: not a regular file; expected a YAML file"
    assert cannot_read("") == ".: not a regular file; expected a YAML file"
    assert cannot_read("a\0b").endswith("; expected a YAML file")
    assert cannot_read("x" * 300).endswith(": file name too long; expected a YAML file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_pipes_and_devices_are_not_opened():
    assert cannot_read("/dev/zero") == "/dev/zero: not a regular file; expected a YAML file"
    os.mkfifo("pipe.yaml")
    assert cannot_read("pipe.yaml") == "pipe.yaml: not a regular file; expected a YAML file"
