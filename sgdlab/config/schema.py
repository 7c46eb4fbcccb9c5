"""The JSON Schema of a config file, for editors and for other programs."""

from typing import Any

from sgdlab.config.model import Config


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config file."""
    schema = Config.model_json_schema()
    schema |= {"title": "sgdlab config", "description": "A config file of sgdlab."}
    one = {"$ref": "#/$defs/SubGrid"}
    grid = schema["properties"]["grid"]
    description = grid["description"]
    schema["properties"]["grid"] = {
        "anyOf": [one, {"type": "array", "items": one, "minItems": 1}],
        "description": description,
    }
    del schema["properties"]["train"]["default"]  # its own keys have theirs
    for model in schema["$defs"].values():
        for key in model["properties"].values():
            if key.get("default", "none") is None:  # stands for a key that is left out
                del key["default"]
    schema["$defs"]["Zip"]["minProperties"] = 1
    data = schema["$defs"]["Data"]
    [text, _] = data["properties"]["path"].pop("anyOf")
    data["properties"]["path"] |= text
    data["required"] = ["path"]  # of a file, which brings no arrays
    return schema
