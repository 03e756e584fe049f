"""The implementations behind `tilegrad.nn.functional`, one family a file."""
