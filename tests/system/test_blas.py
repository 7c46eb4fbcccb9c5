"""The number of threads of the BLAS."""

from threadpoolctl import threadpool_info

from sgdlab.system.blas import blas_threads, describe_blas


def threads():
    """By threadpoolctl's own account."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_products_use_at_most_so_many_threads_meanwhile():
    before = threads()
    with blas_threads(2), blas_threads(1):
        assert threads() == {1}
    assert threads() == before


def test_the_description_names_the_kernel():
    found = {pool["user_api"]: pool for pool in threadpool_info()}["blas"]
    described = describe_blas()
    assert found["architecture"] in {library["architecture"] for library in described}
    assert set(described[0]) == {
        "internal_api", "version", "architecture", "threading_layer", "num_threads",
    }  # fmt: skip
