"""What the server takes in and answers."""
