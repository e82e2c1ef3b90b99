"""What several test folders share: waiting, child processes, databases."""
