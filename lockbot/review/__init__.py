"""What a reviewer is told of an update: what differs on each host, and which upstream commits that comes from."""
