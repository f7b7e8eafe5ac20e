"""What `chronos install` copies into hermes's site-packages."""
