"""``python -m appliance.commands``."""

import sys

from appliance.commands import main

sys.exit(main())
