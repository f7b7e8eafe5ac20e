"""Guards of the contract: is it sound, and what does a change of it do to others."""
