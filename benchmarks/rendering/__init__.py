"""The page of results: tables, plots and prose, written from results/*.json."""
