"""`agent doctor`: find mistakes that would keep the agent silent. Each check is a small function."""
