"""What must hold of merchants' accounts at PSPs, and of everything that is stored sealed. Read only."""
