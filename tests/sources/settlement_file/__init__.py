"""Settlement files read by a mapping."""
