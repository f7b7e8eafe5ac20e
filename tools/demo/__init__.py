"""The demo: real hermes, woken from zero by the reference NAS."""
