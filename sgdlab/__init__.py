"""A laboratory for stochastic gradient descent.

::

    import sgdlab

    result = sgdlab.grid_search("configs/age.yaml")

Everything the command line does is a function here, which takes a config's path, prints nothing and
returns an object; searches take a mapping and arrays in memory as well. The functions are those of
:mod:`sgdlab.workflows`, which is imported when the first of them is asked for: until then
``import sgdlab`` costs nothing, and words can be added to the registries of :mod:`sgdlab.words`.
"""

from typing import TYPE_CHECKING

from sgdlab.errors import (
    ConfigError,
    DataError,
    NothingToSelectError,
    SgdlabError,
    StorageError,
    UsageError,
)

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DataError",
    "NoiseOptions",
    "NothingToSelectError",
    "OrdersOptions",
    "ScalingOptions",
    "SearchOptions",
    "SgdlabError",
    "StorageError",
    "UsageError",
    "VerifyOptions",
    "__version__",
    "describe_data",
    "evaluate",
    "gradient_noise",
    "grid_search",
    "noise_remedies",
    "orders",
    "plan_search",
    "scaling_rule",
    "schema",
    "simulate_sampling",
    "solve",
    "synthesize_data",
    "train",
    "verify",
    "xor_solve",
]

if TYPE_CHECKING:
    from sgdlab.workflows import (
        NoiseOptions,
        OrdersOptions,
        ScalingOptions,
        SearchOptions,
        VerifyOptions,
        describe_data,
        evaluate,
        gradient_noise,
        grid_search,
        noise_remedies,
        orders,
        plan_search,
        scaling_rule,
        schema,
        simulate_sampling,
        solve,
        synthesize_data,
        train,
        verify,
        xor_solve,
    )
else:  # not for type checkers, to which every other name would be there, too

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from sgdlab import workflows

        return getattr(workflows, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
