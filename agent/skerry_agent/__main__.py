"""``python -m skerry_agent`` is the ``skerry-agent`` command."""

import sys

from skerry_agent.cli import main

sys.exit(main())
