"""`datasets.utils.logging` is `enfold.data.logging`."""

import sys

from enfold.data import logging

sys.modules[__name__] = logging
