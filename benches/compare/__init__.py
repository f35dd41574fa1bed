"""Compares this project with the official SDKs doing the same work. See ../README.md."""
