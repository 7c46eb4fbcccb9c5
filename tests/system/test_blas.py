"""The number of threads of the BLAS."""

import subprocess
import sys

import pytest
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


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("callers", [1, 3])
@pytest.mark.parametrize("room", [10_000_000, 70_000_000, 400_000_000])
def test_a_small_address_space_is_an_error_and_never_the_end_of_the_process(callers, room):
    program = f"""
import resource
import numpy as np
from sgdlab.errors import StorageError
from sgdlab.system.blas import blas_threads
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {room}, used + {room}))
try:
    with blas_threads({callers}):
        filling = []
        try:
            while True:
                filling.append(np.empty(2**16, np.uint8))
        except MemoryError:
            pass
        filling[:100] = []
        print((np.ones((300, 300)) @ np.ones((300, 300)))[0, 0])
except StorageError as error:
    print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout in (
        "300.0\n",
        "lower run.threads, or raise the limit that ulimit -v shows\n",
    )
    assert (done.stdout == "300.0\n") or room < 400_000_000
