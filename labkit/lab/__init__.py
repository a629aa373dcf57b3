"""What a notebook shows: claims, exercises, plots, widgets."""
