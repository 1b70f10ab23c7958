"""Hosts: qtloop's own, those that others write, and the examples."""
