"""The version of pytest-muscle, and nothing else."""

__version__ = "0.1.0"
