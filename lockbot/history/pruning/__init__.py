"""What of the history goes when it has grown: runs, and all of flakes that no run is left of."""
