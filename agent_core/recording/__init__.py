"""Recording: expert and human play as episodes."""
