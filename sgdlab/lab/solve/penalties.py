"""The L2 that a ridge path goes through."""

import math

import numpy as np

from sgdlab.optim.closed_form import Spectrum

DECADES = 6


def usual_l2(spectrum: Spectrum) -> list[float]:
    """1 and 3 times powers of ten, up to where L2 outweighs every direction of the rows.

    An L2 above the largest eigenvalue of X.T X / n shrinks all weights; one six decades below it
    shrinks only directions of a thousandth of the largest deviation.
    """
    largest = np.square(spectrum.singular_values).max(initial=0.0) / spectrum.n_rows
    top = math.ceil(math.log10(largest)) if largest > 0 else 0
    digits = [f"{digit}e{power}" for power in range(top - DECADES, top) for digit in (1, 3)]
    return [float(text) for text in (*digits, f"1e{top}")]
