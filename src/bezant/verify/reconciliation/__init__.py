"""What must hold of what PSPs and banks reported, and of the books that were made of it. Read only."""
