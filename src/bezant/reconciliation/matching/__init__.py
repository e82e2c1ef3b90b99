"""Which records speak of the same money: pure decisions over values, without a database and without a clock."""
