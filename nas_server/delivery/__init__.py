"""How fires get to agents."""
