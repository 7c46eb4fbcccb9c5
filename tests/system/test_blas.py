"""The number of threads of the BLAS."""

from threadpoolctl import threadpool_info

from sgdlab.system.blas import blas_threads, describe_blas


def threads():
    """By threadpoolctl's own account."""
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_products_use_at_most_so_many_threads_meanwhile():
    before = threads()
    with blas_threads(2), blas_threads(1):
        assert threads() == {1}
    assert threads() == before


def test_the_description_names_the_kernel():
    found = {each["user_api"]: each for each in threadpool_info()}["blas"]
    described = describe_blas()
    assert found["architecture"] in {each["architecture"] for each in described}
    assert set(described[0]) == {
        "internal_api", "version", "architecture", "threading_layer", "num_threads",
    }  # fmt: skip
