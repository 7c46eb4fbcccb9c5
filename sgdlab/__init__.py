"""A laboratory for stochastic gradient descent.

Everything the command line does is a function of :mod:`sgdlab.workflows`.
"""

__version__ = "0.1.0"
