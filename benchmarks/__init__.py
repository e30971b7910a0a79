"""``make bench``: one module for each bench, and a runner."""
