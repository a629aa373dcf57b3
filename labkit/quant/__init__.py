"""Quantization: a frozen base in four bits a weight, by hand and through bitsandbytes."""
