"""The page that describes every endpoint, made of the application's OpenAPI document."""
