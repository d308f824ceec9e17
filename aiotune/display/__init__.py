"""What people see in the terminal while a search runs."""
