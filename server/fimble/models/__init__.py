"""Models on this machine: fetched, checked, tried, chosen by measurement, and taken back when they fail."""
