"""`python -m lensless_capture` is `lensless-capture`."""

import sys

from lensless_capture.cli import main

sys.exit(main())
