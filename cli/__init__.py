"""The command line: thin, one module per command, nothing imported before it is needed."""
