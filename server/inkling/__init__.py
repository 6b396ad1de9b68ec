"""Inkling: Hugging Face models in any editor, on the user's own machine."""

__version__ = "0.1.0"
