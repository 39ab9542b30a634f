"""What is going on, and what goes wrong."""
