"""The report's tables, figures and facts; each function gives variables of ``templates/report.j2``."""
