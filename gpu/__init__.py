"""Devices and memory of this host; nothing of tuning."""
