"""What is on its way and what is not explained, added up, and operation by operation. Reads only."""
