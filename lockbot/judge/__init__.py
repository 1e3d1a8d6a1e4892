"""What becomes of the hosts with an update: which are judged, how each fares with it and without, what it says."""
