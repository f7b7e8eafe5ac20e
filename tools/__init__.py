"""What the scripts in `scripts/` are made of. Not part of any package that ships."""
