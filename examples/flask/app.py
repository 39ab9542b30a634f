"""A Flask shop that publishes to a Tidewire beside it.

flask --app examples.flask.app run --port 5000
"""

import os

from flask import Flask, request

from tidewire import notification
from tidewire.client import Publisher

app = Flask(__name__)
# One for each process. It connects when it is first used, and works after a fork.
publisher = Publisher(os.environ["TIDEWIRE_URL"], token=os.environ["TIDEWIRE_TOKEN"])


@app.post("/orders")
def order() -> str:
    """Takes an order, and tells the customer's browsers."""
    event = notification("Thank you", "It is on its way", users=[request.args["customer"]])
    return publisher.publish(event)
