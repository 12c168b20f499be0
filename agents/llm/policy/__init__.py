"""What is trained: a causal language model and its critic."""
