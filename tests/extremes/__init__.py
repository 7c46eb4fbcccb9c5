"""Configs that are valid and extreme, end to end: right by a plain loop, or diverged."""
