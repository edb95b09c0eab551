"""The package's version, which is the library's (a test holds them together)."""

__version__ = "0.1.0"
