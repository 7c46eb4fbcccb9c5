"""Weights to start from: zeros, and normal numbers from a stream of their own."""

import numpy as np
import pytest

from sgdlab.errors import UsageError
from sgdlab.words.starts import STARTS, Normal


def weights(name="normal", n_features=20_000, **fields):
    return STARTS.make(name, **fields).weights(n_features)


def test_zeros_are_zeros_whatever_the_seed():
    assert weights("zeros", 3, seed=4, replicate=2).tolist() == [0.0, 0.0, 0.0]


def test_normal_weights_are_those_of_the_documented_stream():
    sequence = np.random.SeedSequence([7, 2, 5])  # seed, purpose, replicate
    expected = 0.3 * np.random.default_rng(sequence).standard_normal(5)
    found = Normal(seed=7, replicate=5, initial_scale=0.3).weights(5)
    assert found.tobytes() == expected.tobytes()


def test_the_scale_is_the_standard_deviation():
    for scale in (0.01, 3.0):
        found = weights(value={"initial_scale": scale}.get)
        error = scale / np.sqrt(2 * len(found))
        assert abs(found.std() - scale) < 4 * error
        assert abs(found.mean()) < 4 * scale / np.sqrt(len(found))


def test_replicates_and_seeds_have_weights_of_their_own():
    found = [weights(n_features=50, seed=seed, replicate=r) for seed in (0, 1) for r in (0, 1)]
    assert len({each.tobytes() for each in found}) == 4
    assert weights(n_features=50, seed=1, replicate=1).tobytes() == found[3].tobytes()


@pytest.mark.parametrize("name", STARTS)
def test_what_a_start_says_of_itself_is_so(name):
    assert STARTS[name].is_zero == (not weights(name, 50).any())


def test_an_unknown_start_is_refused():
    with pytest.raises(UsageError, match=r"^train\.initial_weights 'ones': unknown; .* zeros, nor"):
        STARTS.make("ones")
