"""Whatever a config file or ``--set`` says: a config, or one line for each mistake.

``SGDLAB_FUZZ_EXAMPLES=100000`` makes it look longer.
"""

import json
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sgdlab.config.model import Config
from sgdlab.config.reading import MAX_MISTAKES, load_config
from sgdlab.config.yaml_tree import parse_yaml
from sgdlab.errors import ConfigError
from sgdlab.system.safe_text import printable

AGE = (Path(__file__).parents[2] / "configs" / "age.yaml").read_text()
N_EXAMPLES = int(os.environ.get("SGDLAB_FUZZ_EXAMPLES", "200"))
MAX_SECONDS = 1

fuzzing = settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

STRUCTURE = ": |- |? |[|]|{|}|,|#|'|\"|&a |*a|!!int |! |>\n|%YAML 9.9\n|---\n|...\n|<<: |\n|\n  |\t"
VALUES = "yes|017|1:30|1_000|0x1f|.nan|-.inf|1e999|-1|0|1.5|3e-8|null|~|true|2024-01-31|''|9"
CHARACTERS = "\0|\ufeff|\ud800|\u2028|\x85|\x1b[2J|\\ud800|\\UFFFFFFFF|\\U00110000|é|🙂|%|\\|@|`"
KEYS = "zip: |seed: |l2: |grid: |train: |data: |path: |name: |memory_budget: |threads: |nam: "
SNIPPETS = "|".join([STRUCTURE, VALUES, CHARACTERS, KEYS]).split("|")

any_text = st.text(st.characters(codec=None), max_size=20)
snippets = st.sampled_from(SNIPPETS) | any_text
numbers = st.integers(1, 5000).map(lambda n: "9" * n)


@st.composite
def edited(draw, text=AGE):
    """The text after a few deletions, insertions, exchanges and repetitions."""
    for _ in range(draw(st.integers(1, 3))):
        by = draw(st.sampled_from(["character", "word", "line"]))
        parts = {"character": list(text), "word": re.split(r"\b", text)}.get(by)
        parts = parts or text.splitlines(keepends=True)
        start = draw(st.integers(0, len(parts)))
        stop = min(len(parts), start + draw(st.integers(0, 3)))
        taken = parts[start:stop]
        parts[start:stop] = draw(
            st.sampled_from([[], taken[::-1], taken * 2, taken * 100])
            | st.tuples(snippets | numbers).map(list)
            | snippets.map(lambda snippet, taken=taken: [snippet, *taken])
        )
        text = "".join(parts)
    return text


RIGHT = "name=x|data.path=x|data.validation.fraction=0.5|train.seed=9|train.huber_delta=1e-3"
RIGHT += "|train.l2=1|train.epochs=[3]|grid.zip={l2: [1]}|train={}"
RIGHT += "|grid={}|grid.l2=[0, 1]|grid.batch_size.2=7|run.threads=2|run.memory_budget=2GB"
RIGHT += "|select.metric=mae|select={}|data={path: x, prefix: y}"
right_arguments = st.sampled_from(RIGHT.split("|"))
paths = right_arguments.map(lambda argument: argument.partition("=")[0]) | any_text
new_values = edited("{a: [1, 2]}") | snippets | any_text | numbers
set_arguments = (
    right_arguments
    | right_arguments.flatmap(edited)
    | st.tuples(paths, st.just("="), new_values).map("".join)
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "age.yaml"


def load(file, overrides):
    try:
        return load_config(file, overrides), ()
    except ConfigError as error:
        return None, [str(problem) for problem in error.problems]


def check_config(file, content, overrides=()):
    """The config is sound, or each mistake is one line; either takes less than a second."""
    file.write_bytes(content)
    for _ in range(2):  # the second time where a pause of Hypothesis's own may have come between
        start = time.process_time()
        config, messages = load(file, overrides)
        elapsed_s = time.process_time() - start
        if elapsed_s < MAX_SECONDS:
            break
    assert elapsed_s < MAX_SECONDS
    assert (config is None) == (len(messages) > 0)
    assert len(messages) <= MAX_MISTAKES + 1
    assert len(set(messages)) == len(messages)
    for message in messages:
        assert message.startswith((f"{file}:", "overrides "))
        assert len(message) < 1000
        assert printable(message).isprintable()
    if config is not None:
        dumped = config.model_dump(mode="json", exclude_none=True)
        assert Config.model_validate(json.loads(json.dumps(dumped, allow_nan=False))) == config


@fuzzing
@given(edited())
@example(AGE + '"\\ud800": 1\n')
@example(AGE + "".join(f"key{n}: 1\n" for n in range(200)))
@example(AGE.replace("fraction: 0.2", f"fraction: 0{'9' * 5000}"))
def test_an_edited_file(file, text):
    check_config(file, text.encode("utf-8", "surrogatepass"))


@fuzzing
@given(any_text | st.lists(snippets, max_size=30).map("".join))
def test_any_text(file, text):
    check_config(file, text.encode("utf-8", "surrogatepass"))


@fuzzing
@given(st.binary(max_size=200))
def test_any_bytes(file, content):
    check_config(file, content)


@fuzzing
@given(st.lists(set_arguments, min_size=1, max_size=3))
@example(["grid.batch_size.9=1"])
@example([f"grid.{'9' * 5000}=1"])
@example(["train.\u00b2=1", "\udc80=1"])
def test_any_set(file, arguments):
    check_config(file, AGE.encode(), arguments)


@fuzzing
@given(edited(), st.lists(set_arguments, max_size=2))
def test_an_edited_file_and_any_set(file, text, arguments):
    check_config(file, text.encode("utf-8", "surrogatepass"), arguments)


@fuzzing
@given(edited(AGE[:300]) | st.lists(snippets).map("".join))
def test_yaml_never_raises_and_has_places_inside_the_text(text):
    document = parse_yaml(text)
    n_lines = len(text.splitlines()) + 1
    for problem in document.mistakes:
        assert 1 <= problem.place[0] <= n_lines
        assert 1 <= problem.place[1] <= len(text) + 1
