"""The version of this package; a test compares it with the project's metadata."""

__version__ = "0.1.0"
