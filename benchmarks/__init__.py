"""Measurements of funkc, beside other programs where they are installed."""
