"""What applications in Python do today for Server-Sent Events: a queue for each stream."""
