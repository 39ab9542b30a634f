"""The endpoints, one module for each of their nouns."""
