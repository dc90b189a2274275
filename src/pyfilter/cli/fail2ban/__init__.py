# Taking over from fail2ban: its files are read as it reads them, its expressions become rules.
