"""Spans of time in milliseconds, for what tests expect of limits; no limit itself."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
