"""Errors of the system at any call: what they must never do to a run."""
