"""What runs do while faults come, and what must hold of their log afterwards."""
