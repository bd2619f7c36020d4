"""The published data sets: download, unpack safely, check."""
