"""The stack in containers: what is generated (`write`, `dashboard`), and the lock of one image (`select_lock`)."""
