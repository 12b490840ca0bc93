"""What a fit gives: measures, the verdict, the record and its files, the log."""
