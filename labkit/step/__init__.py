"""A training step's forward pass: rows, token ids, a batch, its loss."""
