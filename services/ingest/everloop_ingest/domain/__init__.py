"""What ingest decides, pure: `reading` requests, `routing` rows, `joining` labels, `archiving`, `beating` time."""
