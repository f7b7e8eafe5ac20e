"""A typed client of NAS agent cron."""
