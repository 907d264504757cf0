"""`datasets.config` is `enfold.data.config`."""

import sys

from enfold.data import config

sys.modules[__name__] = config
