"""What the clients are made of; nothing here is for import by others."""
