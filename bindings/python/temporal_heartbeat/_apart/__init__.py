"""Runs the body of an activity of Temporal's Python SDK in a process of its own."""

from .decorator import ApartOptions as ApartOptions, apart

__all__ = ["apart"]
