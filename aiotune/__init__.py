"""aiotune: asyncio-based hyperparameter tuning for Keras 3 on one host."""

__version__ = "0.1.0"
