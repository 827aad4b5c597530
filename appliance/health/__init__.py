"""What works, as far as can be told."""
