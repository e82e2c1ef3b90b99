"""Files of PSPs and banks: received, kept as they came, and loaded line by line.

Tables written: report_files and their parts, quarantined_lines, psp_lines, psp_payouts, bank_accounts, bank_lines, and
what of the lines is open at first. Guarantees: a file is there once, by its hash; a line is there once, by an id that
is made of what it says it is; lines and payouts count from the moment their file is `loaded`, all at once; a file that
is refused leaves no line behind; a load that was cut short is begun again and ends the same. Must not happen here: a
file held in memory, a transaction that is open while a file is read.
"""
