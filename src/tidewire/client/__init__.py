"""Talking to a Tidewire server from Python."""
