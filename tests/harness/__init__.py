"""Helpers of the scenarios: a real server, an SDK worker that hands its activities over, drivers for each language."""
