"""What can be wrong with a deployment, found from where a browser stands."""
