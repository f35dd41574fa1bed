"""Draws the charts of docs/performance from results/recorded.json."""
