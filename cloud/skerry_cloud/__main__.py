"""``python -m skerry_cloud``."""

import sys

from skerry_cloud.cli import main

sys.exit(main())
