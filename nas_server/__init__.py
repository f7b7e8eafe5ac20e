"""The reference NAS."""
