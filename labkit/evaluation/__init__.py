"""How good a model is: its answers, their scores with intervals, and what it forgot."""
