"""The same work done by this project and by the official SDKs, side by side. See ../README.md."""
