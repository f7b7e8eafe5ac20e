"""hermes release by release: what its scheduler takes of us, and one job's life on it."""
