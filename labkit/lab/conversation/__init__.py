"""Type a sentence, watch the answer appear: the playground, and what it is made of."""
