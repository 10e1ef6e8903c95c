"""The report's tables, figures and facts; each function returns variables of ``templates/report.j2``."""
