"""What a step is."""
