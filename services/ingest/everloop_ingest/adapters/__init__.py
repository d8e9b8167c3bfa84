"""The outside world. Worker: `routes`, `joins`, `archives`, `parquet`. Door: `door`, `publisher`, `beats`."""
