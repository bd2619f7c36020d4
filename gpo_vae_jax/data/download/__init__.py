"""Fetch the published data sets."""
