"""What each word of the command does; a module for each that does more than a line."""
