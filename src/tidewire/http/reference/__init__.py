"""The page that describes every endpoint, made of our own OpenAPI document."""
