"""tilegrad.utils: the data pipeline (`utils.data`)."""
