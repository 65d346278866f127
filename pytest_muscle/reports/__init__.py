"""What a person reads: failure texts, the terminal's table, files."""
