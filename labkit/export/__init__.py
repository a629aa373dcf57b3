"""Adapters for other people's runtimes: llama.cpp and Ollama, and the model hub."""
