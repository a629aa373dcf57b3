"""What an adapter gives away: what it was trained on, which rows it has seen, and what it may hide."""
