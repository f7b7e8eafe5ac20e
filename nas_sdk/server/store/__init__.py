"""Where one-shots and accounts are kept."""
