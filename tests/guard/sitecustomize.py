"""Imported by every Python process that the tests start: see network_guard.py."""

import network_guard

network_guard.install()
