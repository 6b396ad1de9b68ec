"""Every performance claim, measured beside its peers in the same run: `make bench`."""
