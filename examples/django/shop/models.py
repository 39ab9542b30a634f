"""What the shop keeps."""

from django.conf import settings
from django.db import models


class Order(models.Model):
    """What somebody has ordered."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    dish = models.CharField(max_length=100, unique=True)
