"""The archive as its readers see it: which files count, and whether they hold what was said of them.

`chains` follows the offsets of each source from manifest to manifest, `files` looks into one file, `verifying` does
both for a whole archive and says the first damage. None of it shares code with the service that writes.
"""
