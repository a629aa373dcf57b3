"""LoRA by hand: config, layer, injection, merging, files."""
