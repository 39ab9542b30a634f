"""The command, and Tidewire as a server of its own."""
