"""The first and the last moments that a fire time can say, in every kind of zone."""

MOMENTS = ("0001-01-01T00:00:00", "9999-12-31T23:45:00", "9999-12-31T23:59:59.999999999")
ZONES = ("Z", "+00:00", "-23:59", "-12:00", "+14:00", "+23:59")
ENDS_OF_TIME = tuple(moment + zone for moment in MOMENTS for zone in ZONES)
