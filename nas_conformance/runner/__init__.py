"""What runs the checks, and what they stand on."""
