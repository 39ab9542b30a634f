"""How readers are written to: over Server-Sent Events, or by answers to polls."""
