"""Logs as a page shows them: `ansi` reads their colours, `lines` writes them as HTML."""
