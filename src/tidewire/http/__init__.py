"""The ASGI application: it puts the layers together and speaks HTTP."""
