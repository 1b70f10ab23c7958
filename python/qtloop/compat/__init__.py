"""Modules by which programs written for other bridges run on qtloop."""
