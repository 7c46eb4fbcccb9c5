"""Batch sizes to groups that share blocks."""

import pytest

from sgdlab.planning.grouping import Largest, group_batch_sizes


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([160], [(160,)]),
        ([160, 320], [(160, 320)]),
        ([5000, 4000, 160], [(160,), (4000, 5000)]),  # more than all rows: one step an epoch
        ([160, 200, 400, 640], [(160, 640), (200, 400)]),
    ],
)
def test_batch_sizes_that_end_together_go_together(sizes, groups):
    counts = dict.fromkeys(sizes, 16)
    for is_sgd in (True, False):
        found = group_batch_sizes(counts, 3200, 2304, Largest(32, 80), is_sgd, repeats=True)
        assert [group.sizes for group in found] == groups


def test_single_rows_are_apart_unless_a_window_holds_them_with_larger_batches():
    counts = dict.fromkeys([1, 160, 200, 400, 640], 16)
    direct, windowed = (
        group_batch_sizes(counts, 3200, 2304, Largest(32, 80), is_sgd, repeats=True)
        for is_sgd in (False, True)
    )
    assert [group.sizes for group in direct] == [(1,), (160, 640), (200, 400)]
    assert [group.sizes for group in windowed] == [(1, 160), (200, 400), (640,)]
    assert [group.window_rows for group in windowed] == [160, None, None]


def test_windows_hold_whole_batches_of_every_size():
    sizes = [1, 2, 3, 5, 7, 16, 30, 64, 100]
    groups = group_batch_sizes(dict.fromkeys(sizes, 4), 3200, 2304, Largest(32, 80), True, True)
    windows = {size: group.window_rows for group in groups for size in group.sizes}
    assert sorted(windows) == sizes
    assert all(window is None or window % size == 0 for size, window in windows.items())
    assert windows[1] == windows[2]
    assert windows[1] is not None
