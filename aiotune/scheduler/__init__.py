"""Decides in plain code (_core), acts in async code (_loop)."""
