"""What other people's tasks and samples ask of the judge, one small case for each kind."""
