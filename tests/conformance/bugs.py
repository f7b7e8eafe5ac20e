"""Every planted bug."""

from collections.abc import Sequence

from tests.conformance.bugs_fire import FIRE_BUGS
from tests.conformance.bugs_http import HTTP_BUGS
from tests.conformance.bugs_rules import RULE_BUGS
from tests.conformance.planting import Bug

AT_ONCE: Sequence[Bug] = [*HTTP_BUGS, *RULE_BUGS]
"""Those that requests alone bring to light."""
ON_FIRE: Sequence[Bug] = FIRE_BUGS
"""Those that take a fire."""
BUGS: Sequence[Bug] = [*AT_ONCE, *ON_FIRE]
