"""The orders that are the same in every epoch."""

FIXED_ORDERS = ("in_order", "shuffle_once")
