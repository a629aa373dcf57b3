"""Drawings that explain, made by code in the course's style: each function returns a figure for :func:`labkit.show`."""
