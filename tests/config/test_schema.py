"""The JSON Schema of a config agrees with what is read."""

import re

import pytest

from sgdlab.config.model import Train
from sgdlab.config.schema import json_schema
from tests.config.config_texts import load, mistakes

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


# What a JSON Schema of this project's kind means, in a few lines.


def accepts(schema, value, root):
    if "$ref" in schema:
        schema = schema | root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    types["number"] = (int, float)
    kind = schema.get("type")
    if kind and (not isinstance(value, types[kind]) or (value is True) > (kind == "boolean")):
        return False
    checks = {
        "anyOf": lambda given: any(accepts(choice, value, root) for choice in given),
        "enum": lambda given: value in given,
        "const": lambda given: value == given,
        "minimum": lambda given: value >= given,
        "maximum": lambda given: value <= given,
        "exclusiveMinimum": lambda given: value > given,
        "exclusiveMaximum": lambda given: value < given,
        "minItems": lambda given: len(value) >= given,
        "minProperties": lambda given: len(value) >= given,
        "minLength": lambda given: len(value) >= given,
        "maxLength": lambda given: len(value) <= given,
        "pattern": lambda given: re.search(given, value) is not None,
        "items": lambda given: all(accepts(given, item, root) for item in value),
        "required": lambda given: set(given) <= value.keys(),
        "additionalProperties": lambda given: value.keys() <= schema["properties"].keys(),
        "properties": lambda given: all(
            accepts(given[key], value[key], root) for key in given.keys() & value.keys()
        ),
    }
    says_nothing = {"$ref", "$defs", "type", "title", "description", "default"}
    assert schema.keys() <= checks.keys() | says_nothing
    return all(checks[key](given) for key, given in schema.items() if key in checks)


TREE = {"data": {"path": "d"}, "train": {"batch_size": 1, "learning_rate": 1, "epochs": 1}}


@pytest.mark.parametrize(
    ("tree", "is_right"),
    [
        (TREE, True),
        (TREE | {"name": "x", "grid": {"l2": [0, 1.5]}}, True),
        (TREE | {"grid": [{"l2": [0.5]}, {"zip": {"l2": [1], "initial_bias": [2]}}]}, True),
        (TREE | {"run": {"threads": 2, "memory_budget": "2GB"}}, True),
        (TREE | {"run": {"threads": "auto"}, "select": {"metric": "mae"}}, True),
        ({"train": {}}, False),
        (TREE | {"nam": "x"}, False),
        (TREE | {"name": ""}, False),
        (TREE | {"train": {"learningrate": 1}}, False),
        (TREE | {"train": {"epochs": 1.5}}, False),
        (TREE | {"train": {"learning_rate": 0}}, False),
        (TREE | {"train": {"train_bias": 1}}, False),
        (TREE | {"grid": []}, False),
        (TREE | {"grid": {"l2": []}}, False),
        (TREE | {"grid": {"l2": 3}}, False),
        (TREE | {"grid": {"seed": [1]}}, False),
        (TREE | {"grid": {"zip": {}}}, False),
        (TREE | {"run": {"threads": 0}}, False),
    ],
)
def test_the_schema_agrees_with_what_is_read(tree, is_right):
    schema = json_schema()
    assert accepts(schema, tree, schema) == is_right
    text = repr(tree).replace("True", "true")
    if is_right:
        load(text)
    else:
        mistakes(text)


def test_the_schema_refuses_control_characters_too():
    schema = json_schema()
    for text, is_right in {
        "é 顔": True,
        "a\x1bb": False,
        "a\x9bb": False,
        "a\u202eb": False,
    }.items():
        assert accepts(schema, TREE | {"name": text}, schema) == is_right


def test_the_schema_describes_every_hyperparameter_and_no_other_key():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert all(model["additionalProperties"] is False for model in schema["$defs"].values())
    keys = schema["$defs"]["TrainSection"]["properties"]
    assert list(keys) == list(Train.model_fields)
    assert all(len(key["description"]) > 5 for key in keys.values())


def test_the_defaults_of_the_schema_fit_it():
    schema = json_schema()
    models = [schema, *schema["$defs"].values()]
    keys = [(name, key) for model in models for name, key in model["properties"].items()]
    wrong = [
        name for name, key in keys if "default" in key and not accepts(key, key["default"], schema)
    ]
    assert wrong == []
