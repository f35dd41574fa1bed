"""What the scenarios stand on: a real server, a worker that hands its activities over, drivers for each language."""
