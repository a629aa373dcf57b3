"""Widgets with a slider or a list to choose from, and a picture that follows."""
