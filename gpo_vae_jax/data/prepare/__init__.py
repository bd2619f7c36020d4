"""From raw counts to a prepared AnnData, stage by stage."""
