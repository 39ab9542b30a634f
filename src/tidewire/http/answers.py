"""What the models of answers have in common."""

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer of one form. What writes it is made for the first who asks: a server is ready
    before that."""

    model_config = ConfigDict(defer_build=True)
