"""Our schedules beside those of the libraries: who agrees, who deviates, and what is known to go wrong."""
