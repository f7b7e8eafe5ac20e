"""The checks, a module for every group."""
