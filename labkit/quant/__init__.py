"""Quantization: a frozen base in four bits per weight, by hand and through bitsandbytes."""
