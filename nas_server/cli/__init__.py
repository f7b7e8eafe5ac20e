"""The commands of `nas-server`."""
