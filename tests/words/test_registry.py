"""A registry of toy words: what is added, refused, made and asked for."""

from abc import abstractmethod
from dataclasses import dataclass

import pytest

from sgdlab.config.model import WORDS, hyperparameters
from sgdlab.errors import UsageError
from sgdlab.words.losses import Loss, Squared
from sgdlab.words.registry import Hyperparameter, Registry, Word, hyperparameter

LENGTH = Hyperparameter(1.5, "of ropes", {"gt": 0})


@dataclass(frozen=True)
class Tool(Word):
    seed: int = 0

    @abstractmethod
    def use(self): ...


@dataclass(frozen=True)
class Rope(Tool):
    name = "rope"
    length: float = hyperparameter(1.5, "of ropes", gt=0)
    knots: int = hyperparameter(2, "in a rope", ge=0, le=9)

    def use(self):
        return self.length * self.knots


@dataclass(frozen=True)
class Wire(Tool):
    name = "wire"
    length: float = hyperparameter(1.5, "of ropes", gt=0)

    def use(self):
        return self.length


@pytest.fixture
def tools():
    registry = Registry("train.tool", Tool)
    assert registry.add(Wire) is Wire  # as a decorator
    registry.add(Rope)
    return registry


def test_words_are_known_in_the_order_in_which_they_were_added(tools):
    assert list(tools) == ["wire", "rope"]
    assert len(tools) == 2
    assert tools["rope"] is Rope
    assert "rope" in tools
    assert "hammer" not in tools


def test_an_unknown_word_is_refused_with_those_that_exist(tools):
    line = "train.tool 'hammer': unknown; expected one of wire, rope"
    for ask in (tools.__getitem__, tools.make, tools.own):
        with pytest.raises(UsageError) as caught:
            ask("hammer")
        assert str(caught.value) == line


def test_a_word_is_made_with_what_is_declared(tools):
    assert tools.make("rope") == Rope(0, 1.5, 2)
    assert tools.make("rope", seed=7) == Rope(7, 1.5, 2)


def test_a_word_is_made_with_values_of_its_own_hyperparameters_alone(tools):
    asked = []

    def value(name):
        asked.append(name)
        return {"length": 3.0, "knots": 5}[name]

    assert tools.make("rope", value, seed=7) == Rope(7, 3.0, 5)
    assert asked == ["length", "knots"]
    assert tools.make("wire", value) == Wire(0, 3.0)
    assert asked == ["length", "knots", "length"]


def test_own_hyperparameters_come_in_the_order_of_their_declaration(tools):
    knots = Hyperparameter(2, "in a rope", {"ge": 0, "le": 9})
    assert list(tools.own("rope").items()) == [("length", LENGTH), ("knots", knots)]
    assert tools.own("wire") == {"length": LENGTH}
    assert list(tools.hyperparameters()) == ["length", "knots"]


def test_what_the_config_has_read_is_sealed(tools):
    assert tools.names_for_config() == ("wire", "rope")
    with pytest.raises(ValueError, match=r"^train\.tool 'late': added after sgdlab\.config\.model"):

        @tools.add
        @dataclass(frozen=True)
        class Late(Wire):
            name = "late"

    assert list(tools) == ["wire", "rope"]


@pytest.mark.parametrize("key", WORDS)
def test_the_registries_of_the_config_are_sealed(key):
    class Late(WORDS[key][next(iter(WORDS[key]))]):
        name = "late"

    with pytest.raises(ValueError, match=rf"^train\.{key} 'late': added after"):
        WORDS[key].add(Late)


def test_a_name_is_taken_once(tools):
    with pytest.raises(ValueError, match=r"^train\.tool 'rope': is there already$"):
        tools.add(Rope)


def test_a_class_that_is_no_dataclass_has_no_hyperparameters_and_is_refused(tools):
    class Tape(Wire):
        name = "tape"
        width: float = hyperparameter(0.5, "of tapes")

    with pytest.raises(ValueError, match=r"^train\.tool 'tape': not a dataclass; expected @data"):
        tools.add(Tape)
    assert "tape" not in tools


def test_a_class_that_lacks_a_method_is_refused(tools):
    @dataclass(frozen=True)
    class Idle(Tool):
        name = "idle"

    with pytest.raises(ValueError, match=r"^train\.tool 'idle': has no use$"):
        tools.add(Idle)


def test_words_that_share_a_hyperparameter_declare_it_alike(tools):
    @dataclass(frozen=True)
    class Chain(Wire):
        name = "chain"
        length: float = hyperparameter(2.0, "of ropes", gt=0)

    with pytest.raises(ValueError, match=r"^train\.tool 'chain': length is declared otherwise"):
        tools.add(Chain)


@pytest.mark.parametrize("name", ["", "Rope", "a rope", "a\nb", 3, None, ["rope"]])
def test_a_name_is_an_identifier(name, tools):
    @dataclass(frozen=True)
    class Odd(Wire):
        pass

    Odd.name = name
    with pytest.raises(ValueError, match=r"^train\.tool .*: no name; expected lower-case letters"):
        tools.add(Odd)
    assert len(tools) == 2


def test_a_class_of_another_kind_is_refused(tools):
    @dataclass(frozen=True)
    class Spoon(Word):
        name = "spoon"

    with pytest.raises(ValueError, match=r"^train\.tool 'spoon': no Tool; expected a class that"):
        tools.add(Spoon)


@pytest.mark.parametrize(
    ("key", "declared", "found"),
    [
        ("width", hyperparameter(5, "too wide", lt=1), "width is 5 by default, which is out of"),
        ("width", hyperparameter(0.0, "too thin", gt=0), "width is 0.0 by default, which is out"),
        ("width", hyperparameter(float("nan"), "none", ge=0), "width is nan by default, which is"),
        ("width", hyperparameter(True, "a flag"), "width is True by default; expected an int or"),
        ("width", hyperparameter("wide", "a text"), "width is 'wide' by default; expected an int"),
        ("_width", hyperparameter(1, "hidden"), "_width is no name; expected lower-case letters"),
        ("seed", hyperparameter(1, "of all"), "seed is what every word of this kind has"),
        ("use", hyperparameter(1, "a method"), "use is what every word of this kind has"),
    ],
)
def test_a_hyperparameter_without_sense_is_refused(key, declared, found, tools):
    odd = type("Odd", (Wire,), {"name": "odd", "__annotations__": {key: float}, key: declared})
    with pytest.raises(ValueError, match=rf"^train\.tool 'odd': {found}"):
        tools.add(dataclass(frozen=True)(odd))


def test_an_unknown_bound_is_refused():
    with pytest.raises(TypeError, match="min"):
        hyperparameter(1.0, "of losses", min=0)


@pytest.mark.parametrize("name", ["epochs", "loss", "momentum", "warmup", "zip", "model_dump"])
def test_a_hyperparameter_that_is_a_key_of_something_else_is_refused(name):
    """Of every cell, a word itself, another word, or a key that stands behind that of the word."""
    taken = type("Taken", (Squared,), {"name": "taken", name: hyperparameter(1.0, "of losses")})
    taken.__annotations__ = {name: float}
    losses = Registry("train.loss", Loss)
    losses.add(dataclass(frozen=True)(taken))
    with pytest.raises(ValueError, match=f"^{name} of a word of train"):
        hyperparameters({**WORDS, "loss": losses})
