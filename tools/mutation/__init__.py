"""Mutation testing: plant small faults in a module, and see which no test notices."""
