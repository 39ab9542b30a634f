"""Events, the log of them, and those who read it: neither HTTP nor storage."""
