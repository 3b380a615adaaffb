"""The command `mml`: `program` knows its subcommands, a thin file each says what its command line is."""
