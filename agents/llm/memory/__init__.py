"""What is held when: micro-batches, offloading, estimates."""
